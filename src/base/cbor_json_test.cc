#include "semper/base/cbor_json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>

#include "base/hex_test_support.h"
#include "semper/base/cbor.h"

namespace semper {
namespace {

using testing::from_hex;

std::string shown(std::string_view hex, JsonStyle style = {}) {
  const auto text = cbor_to_json(from_hex(hex), style);
  return text ? *text : "error: " + text.error().message();
}
std::string typed(std::string_view text) {
  const auto item = json_to_cbor(text);
  if (item) return to_hex(*item);
  EXPECT_EQ(item.error().kind(), ErrorKind::invalid_argument);
  return "error: " + item.error().message();
}

struct Example {
  const char* hex;
  const char* json;
};
// Both directions.
const Example kExamples[] = {
    {"00", "0"},
    {"1818", "24"},
    {"1bffffffffffffffff", "18446744073709551615"},
    {"20", "-1"},
    {"3b7fffffffffffffff", "-9223372036854775808"},
    {"3b8000000000000000", "-9223372036854775809"},
    {"3bfffffffffffffffe", "-18446744073709551615"},
    {"3bffffffffffffffff", "-18446744073709551616"},
    {"fb3ff0000000000000", "1.0"},
    {"fb8000000000000000", "-0.0"},
    {"fb3fb999999999999a", "0.1"},
    {"fb7e37e43c8800759c", "1e+300"},
    {"fb0000000000000001", "5e-324"},
    {"fb7ff0000000000000", R"({"$float":"Infinity"})"},
    {"fbfff0000000000000", R"({"$float":"-Infinity"})"},
    {"fb7ff8000000000000", R"({"$float":"NaN"})"},
    {"f4", "false"},
    {"f5", "true"},
    {"f6", "null"},
    {"f7", R"({"$simple":23})"},
    {"e0", R"({"$simple":0})"},
    {"f8ff", R"({"$simple":255})"},
    {"40", R"({"$bytes":""})"},
    {"4200ff", R"({"$bytes":"00ff"})"},
    {"60", R"("")"},
    {"63e6b0b4", "\"\xe6\xb0\xb4\""},
    {"80", "[]"},
    {"8301820203"
     "80",
     "[1,[2,3],[]]"},
    {"a0", "{}"},
    {"a2616101616282"
     "0203",
     R"({"a":1,"b":[2,3]})"},
    {"a2616201616101", R"({"b":1,"a":1})"},
    {"a10102", R"({"$map":[[1,2]]})"},
    {"a1652462797465"
     "01",
     R"({"$map":[["$byte",1]]})"},
    {"a2616101"
     "8002",
     R"({"$map":[["a",1],[[],2]]})"},
    {"c11a514b67b0", R"({"$tag":[1,1363896240]})"},
    {"c1c2a10102", R"({"$tag":[1,{"$tag":[2,{"$map":[[1,2]]}]}]})"},
};

TEST(CborJsonTest, item_and_text_match_in_both_directions) {
  for (const Example& example : kExamples) {
    EXPECT_EQ(shown(example.hex), example.json);
    EXPECT_EQ(typed(example.json), example.hex) << example.json;
  }
}

TEST(CborJsonTest, text_is_escaped_and_steers_no_terminal) {
  Bytes item;
  cbor::Writer(item).text("\"\\/\n\t\r\x01\x1b[31m\x7f\xc2\x9b\xc2\xa0\xf0\x9f\x98\x80");
  const auto text = cbor_to_json(item);
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(*text,
            "\"\\\"\\\\/\\n\\t\\u000d\\u0001\\u001b[31m\\u007f\\u009b\xc2\xa0\xf0\x9f\x98\x80\"");
  EXPECT_EQ(json_to_cbor(*text), item);
}

TEST(CborJsonTest, half_and_single_floats_show_only_digits_they_have) {
  EXPECT_EQ(shown("fa3dcccccd"), "0.1");
  EXPECT_EQ(shown("fa47c35000"), "1e+05");
  EXPECT_EQ(shown("f93e00"), "1.5");
  EXPECT_EQ(shown("f97e00"), R"({"$float":"NaN"})");
}

TEST(CborJsonTest, indented_text_is_the_same_value) {
  const std::string text = shown(
      "a3616182018061628061"
      "63a10102",
      {.indent = 2});
  EXPECT_EQ(text,
            "{\n  \"a\": [\n    1,\n    []\n  ],\n  \"b\": [],\n  \"c\": {\"$map\":[\n    [1,2]\n  "
            "]}\n}");
  EXPECT_EQ(typed(text), "a361618201806162806163a10102");
}

TEST(CborJsonTest, a_damaged_item_is_refused_with_its_place) {
  EXPECT_EQ(shown(""), "error: the input ends at byte 0 where an item should start");
  EXPECT_EQ(shown("8201"), "error: found an array longer than the input at byte 0");
  EXPECT_EQ(shown("0102"), "error: 1 bytes too many after the item that ends at byte 1");
  EXPECT_EQ(shown("61ff"), "error: found text that is not UTF-8 at byte 0");
  EXPECT_EQ(shown("a2616101"
                  "61621c"),
            "error: found an initial byte that CBOR reserves at byte 6");
  EXPECT_EQ(shown("9fff"),
            "error: found an indefinite length or a break, neither of which is accepted at byte 0");
}

TEST(CborJsonTest, wrong_json_is_refused_in_words) {
  EXPECT_EQ(typed("").find("error: not JSON: parse error at line 1, column 1: "), 0u) << typed("");
  EXPECT_EQ(typed("{\n \"a\" 1}").find("error: not JSON: parse error at line 2, column 6: "), 0u)
      << typed("{\n \"a\" 1}");
  EXPECT_EQ(typed("1 2").find("error: not JSON: "), 0u);
  EXPECT_EQ(typed("[1,]").find("error: not JSON: "), 0u);
  EXPECT_EQ(typed("NaN").find("error: not JSON: "), 0u);
  EXPECT_EQ(typed("\"\xff\"").find("error: not JSON: "), 0u);
  EXPECT_EQ(typed("1e999").find("error: not JSON: number overflow"), 0u) << typed("1e999");
  EXPECT_EQ(
      typed("18446744073709551616"),
      "error: the integer 18446744073709551616 does not fit 64 bits; write it as text, or as a "
      "float with a point");
  EXPECT_EQ(typed("-18446744073709551617").find("error: the integer -18446744073709551617"), 0u);
  EXPECT_EQ(typed(R"({"a":1,"a":2})"), "error: the key \"a\" is repeated");
}

TEST(CborJsonTest, a_dollar_key_is_not_taken_for_a_name) {
  EXPECT_EQ(typed(R"({"$byte":"00"})"),
            "error: the key \"$byte\" is unknown; known with a dollar sign are $bytes, $float, "
            "$simple, $tag and $map");
  EXPECT_EQ(typed(R"({"a":1,"$bytes":"00"})"),
            "error: the key \"$bytes\" starts with a dollar sign beside others; write {\"$map\": "
            "[[KEY, VALUE], ...]} for a map with such a key");
  EXPECT_EQ(typed(R"({"$bytes":"00","a":1})"),
            "error: the key \"a\" is beside \"$bytes\", which has to be alone");
}

TEST(CborJsonTest, a_wrong_value_of_a_dollar_key_is_refused) {
  for (const char* value : {"\"0\"", "\"0x\"", "\"+1\"", "\" 1\"", "1", "[]", "null"}) {
    EXPECT_EQ(typed(std::string(R"({"$bytes":)") + value + "}"),
              "error: \"$bytes\" needs hexadecimal digits, two a byte")
        << value;
  }
  EXPECT_EQ(typed(R"({"$float":"nan"})"),
            "error: \"$float\" needs \"NaN\", \"Infinity\" or \"-Infinity\"");
  for (const char* value : {"20", "24", "31", "256", "-1", "\"0\""}) {
    EXPECT_EQ(typed(std::string(R"({"$simple":)") + value + "}"),
              "error: \"$simple\" needs a number from 0 to 19, 23, or from 32 to 255")
        << value;
  }
  for (const char* value : {"[1]", "[1,2,3]", "[\"1\",2]", "1"}) {
    EXPECT_EQ(typed(std::string(R"({"$tag":)") + value + "}"),
              "error: \"$tag\" needs [NUMBER, VALUE]")
        << value;
  }
  for (const char* value : {"[1]", "[[1]]", "[[1,2],[1,3]]", "{}", "[[1,2,3]]"}) {
    EXPECT_EQ(typed(std::string(R"({"$map":)") + value + "}"),
              "error: \"$map\" needs [[KEY, VALUE], ...] without repeated keys")
        << value;
  }
}

TEST(CborJsonTest, nesting_past_the_bound_is_refused) {
  const auto nested_arrays = [](std::size_t levels) {
    return std::string(levels, '[') + std::string(levels, ']');
  };
  EXPECT_EQ(typed(nested_arrays(cbor::kMaxDepth)).find("error"), std::string::npos);
  EXPECT_EQ(typed(nested_arrays(cbor::kMaxDepth + 1)),
            "error: nested deeper than 64 levels at byte 65");
  EXPECT_EQ(typed(nested_arrays(1000000)), "error: nested deeper than 64 levels");
  EXPECT_EQ(shown(std::string(2000, '8')).find("error: "), 0u);
  // As deep as CBOR may be, in the form that takes the most levels of JSON.
  Bytes maps;
  for (int level = 0; level < cbor::kMaxDepth; ++level) maps += from_hex("a100");
  maps += from_hex("00");
  const auto text = cbor_to_json(maps);
  ASSERT_TRUE(text.has_value()) << text.error().message();
  EXPECT_EQ(json_to_cbor(*text), maps);
}

TEST(CborJsonTest, random_items_come_back_from_their_text) {
  constexpr std::uint64_t kSeed = 4;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  int accepted = 0;
  for (int round = 0; round < 30000; ++round) {
    Bytes bytes(1 + random() % 12, '\0');
    for (char& octet : bytes) octet = static_cast<char>(random());
    if (round % 2 == 0) bytes[0] = static_cast<char>(0x80 | random() % 4);
    const auto text = cbor_to_json(bytes);
    if (!text) continue;
    const auto back = json_to_cbor(*text);
    if (!back) {
      ASSERT_NE(back.error().message().find("repeated"), std::string::npos)
          << to_hex(bytes) << ": " << *text << ": " << back.error().message();
      continue;
    }
    const auto again = cbor_to_json(*back);
    ASSERT_TRUE(again.has_value()) << to_hex(bytes);
    // A 4-byte float is a double afterwards, with the digits it was shown with.
    ASSERT_EQ(*again == *text || bytes.find('\xfa') != Bytes::npos, true)
        << to_hex(bytes) << ": " << *text << " became " << *again;
    ++accepted;
  }
  EXPECT_GT(accepted, 1000);
}

TEST(CborJsonTest, random_text_is_refused_or_gives_an_item_that_can_be_shown) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  constexpr std::string_view kAlphabet = "{}[]:,\"$mapbytesg0123456789-.eE truefalsn\\u";
  for (int round = 0; round < 20000; ++round) {
    std::string text(random() % 24, ' ');
    for (char& character : text) character = kAlphabet[random() % kAlphabet.size()];
    if (round % 3 == 0) text = R"({"$map":[)" + text + "]}";
    const auto item = json_to_cbor(text);
    if (item) {
      ASSERT_TRUE(cbor_to_json(*item).has_value()) << text;
    }
  }
}

}  // namespace
}  // namespace semper
