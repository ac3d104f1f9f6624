#include "semper/store/tuple_text.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>

#include "store/tuple_test_support.h"

namespace semper {
namespace {

const Uuid kUuid = Uuid::from_string("00112233-4455-6677-8899-aabbccddeeff").value();

TEST(TupleText, it_shows_every_type) {
  const Tuple tuple{"users",
                    42,
                    -1.5,
                    true,
                    false,
                    nullptr,
                    ByteString{Bytes("\0ff\\\"", 5)},
                    kUuid,
                    Versionstamp::complete(12, 0, 7),
                    nested_tuple({"nested", 1, nested_tuple({})}),
                    0.5f,
                    BigInteger::from_string("-18446744073709551616").value()};
  const std::string text =
      R"(("users", 42, -1.5d, true, false, null, b"\x00ff\\\"", )"
      R"(uuid"00112233-4455-6677-8899-aabbccddeeff", stamp"000000000000000c-0000-0007", )"
      R"(("nested", 1, ()), 0.5f, -18446744073709551616))";
  EXPECT_EQ(to_text(tuple), text);
  EXPECT_EQ(parse_tuple_text(text).value(), tuple);
}

TEST(TupleText, numbers_that_have_no_digits_are_named) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(to_text(TupleElement(infinity)), R"(double"inf")");
  EXPECT_EQ(to_text(TupleElement(-std::numeric_limits<float>::infinity())), R"(float"-inf")");
  EXPECT_EQ(to_text(TupleElement(std::numeric_limits<double>::quiet_NaN())), R"(double"nan")");
  EXPECT_EQ(to_text(TupleElement(std::bit_cast<float>(0xffc00001u))), R"(float"ffc00001")");
  EXPECT_EQ(to_text(TupleElement(-0.0)), "-0d");
  EXPECT_EQ(parse_tuple_text("(-0d)").value(), Tuple{-0.0});
  EXPECT_EQ(parse_tuple_text(R"((float"7f800000"))").value(),
            Tuple{std::numeric_limits<float>::infinity()});
}

TEST(TupleText, characters_that_would_move_or_hide_text_are_escaped) {
  EXPECT_EQ(to_text(TupleElement("é\xf0\x9f\x94\xa5")), "\"é\xf0\x9f\x94\xa5\"");
  EXPECT_EQ(to_text(TupleElement(std::string("\0\x1b[2J\n\r\t\x7f\"\\", 11))),
            R"("\u{0}\u{1b}[2J\n\r\t\u{7f}\"\\")");
  EXPECT_EQ(to_text(TupleElement("\xc2\x85\xe2\x80\xae\xe2\x80\xa8\xef\xbb\xbf")),
            R"("\u{85}\u{202e}\u{2028}\u{feff}")");
}

TEST(TupleText, every_edge_reads_back_bit_for_bit) {
  for (const auto& element : testing::edge_elements()) {
    const Tuple tuple{element, nested_tuple({element})};
    const auto parsed = parse_tuple_text(to_text(tuple));
    ASSERT_TRUE(parsed) << to_text(tuple) << " " << parsed.error().to_string();
    EXPECT_EQ(parsed->pack(), tuple.pack()) << to_text(tuple);
  }
}

TEST(TupleText, random_tuples_read_back_bit_for_bit) {
  constexpr std::uint64_t seed = 41;
  SCOPED_TRACE("seed " + std::to_string(seed));
  testing::TupleSource source(seed);
  for (int i = 0; i < 3000; ++i) {
    const Tuple tuple = source.tuple(5);
    const auto parsed = parse_tuple_text(to_text(tuple));
    ASSERT_TRUE(parsed) << to_text(tuple) << " " << parsed.error().to_string();
    ASSERT_EQ(parsed->pack(), tuple.pack()) << to_text(tuple);
  }
}

TEST(TupleText, what_people_type_is_accepted) {
  const auto parsed = [](std::string_view text) { return parse_tuple_text(text).value(); };
  EXPECT_EQ(parsed("()"), Tuple());
  EXPECT_EQ(parsed(" ( ) "), Tuple());
  EXPECT_EQ(parsed("(1,)"), Tuple{1});
  EXPECT_EQ(parsed("\t(1\n,2 , (3 ) )\n"), (Tuple{1, 2, nested_tuple({3})}));
  EXPECT_EQ(parsed("(1.5, 2e3, -1E-2, 42d, 42f)"), (Tuple{1.5, 2000.0, -0.01, 42.0, 42.0f}));
  EXPECT_EQ(parsed("(-0, 007)"), (Tuple{0, 7}));
  EXPECT_EQ(parsed(R"(("\x41\u{e9}\u{10ffff}"))"), Tuple{"Aé\xf4\x8f\xbf\xbf"});
  EXPECT_EQ(parsed(R"(("\xc3\xa9"))"), Tuple{"é"});
  EXPECT_EQ(parsed(R"((b"\xFFé"))"), Tuple{ByteString{"\xff\xc3\xa9"}});
}

struct BadText {
  std::string_view text;
  std::size_t position;
};

TEST(TupleText, bad_text_names_the_position) {
  const std::string deep(kTupleDepthMaximum + 2, '(');
  const BadText bad[] = {
      {"", 0},
      {"   ", 3},
      {"users", 0},
      {"(", 1},
      {"(1", 2},
      {"(1 2)", 3},
      {"(1)x", 3},
      {"(1))", 3},
      {"(,)", 1},
      {"(1,,2)", 3},
      {"(nil)", 1},
      {"(\"a)", 1},
      {"(b\"a)", 2},
      {"('a')", 1},
      {R"(("\q"))", 2},
      {R"(("\x4"))", 2},
      {R"(("ab\u{110000}"))", 4},
      {R"(("\u{d800}"))", 2},
      {R"(("\u{}"))", 2},
      {R"(("\u{0000041}"))", 2},
      {R"(("\u41"))", 2},
      {R"((b"\u{41}"))", 3},
      {R"((1, "\xff"))", 4},
      {"(\"\\", 2},
      {"(1, -)", 4},
      {"(1.2.3)", 1},
      {"(1e)", 1},
      {"(1e999)", 1},
      {"(1e39f)", 1},
      {"(1-2)", 2},
      {"(+1)", 1},
      {"(0x10)", 2},
      {R"((uuid"12"))", 1},
      {R"((stamp"12"))", 1},
      {R"((double"12"))", 1},
      {R"((float"infinity"))", 1},
      {R"((x"00"))", 1},
      {deep, kTupleDepthMaximum + 1},
  };
  for (const auto& [text, position] : bad) {
    const auto result = parse_tuple_text(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument) << text;
    EXPECT_NE(result.error().message().find("byte " + std::to_string(position) + ","),
              std::string::npos)
        << text << ": " << result.error().message();
  }
}

TEST(TupleText, an_integer_past_the_bound_is_refused) {
  const auto result = parse_tuple_text("(" + std::string(616, '9') + ")");
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message().find("255 bytes"), std::string::npos);
}

TEST(TupleText, anything_parsed_can_be_packed) {
  std::string text;
  for (std::size_t i = 0; i <= kTupleDepthMaximum; ++i) text += '(';
  for (std::size_t i = 0; i <= kTupleDepthMaximum; ++i) text += ')';
  const auto tuple = parse_tuple_text(text).value();
  EXPECT_EQ(Tuple::unpack(tuple.pack()).value(), tuple);
}

TEST(TupleText, random_damage_to_text_is_an_error_or_another_tuple) {
  constexpr unsigned seed = 51;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  testing::TupleSource source(seed);
  static constexpr std::string_view characters = "()\",\\-.0159abdefnstux{} \xff";
  for (int i = 0; i < 20000; ++i) {
    std::string text = to_text(source.tuple());
    for (auto changes = 1 + random() % 3; changes > 0; --changes) {
      text[random() % text.size()] = characters[random() % characters.size()];
    }
    if (const auto tuple = parse_tuple_text(text)) {
      ASSERT_EQ(parse_tuple_text(to_text(*tuple)).value(), *tuple) << text;
    }
  }
}

TEST(PrintableKey, it_shows_a_tuple_where_the_whole_key_is_one_and_bytes_elsewhere) {
  EXPECT_EQ(printable_key(Tuple{"users", 42}.pack()), R"(("users", 42))");
  EXPECT_EQ(printable_key(""), "()");
  EXPECT_EQ(printable_key("plain"), "plain");
  EXPECT_EQ(printable_key(Tuple{"users"}.pack() + "\xff"), "\\x02users\\x00\\xff");
  EXPECT_EQ(printable_key("(1)"), "\\x281)");
}

TEST(PrintableKey, it_reads_back_as_the_same_key) {
  constexpr std::uint64_t seed = 61;
  SCOPED_TRACE("seed " + std::to_string(seed));
  testing::TupleSource source(seed);
  for (const Bytes& key : {Bytes("(1)"), Bytes("\\x41"), Bytes(1000, '\xfe'), Bytes()}) {
    EXPECT_EQ(parse_key_text(printable_key(key)).value(), key);
  }
  for (int i = 0; i < 2000; ++i) {
    const Bytes key = source.bytes() + source.tuple().pack() + source.bytes();
    ASSERT_EQ(parse_key_text(printable_key(key)).value(), key) << printable_key(key);
  }
}

TEST(PrintableKey, bad_key_text_is_refused) {
  for (const char* text : {"a\\", "a\\x1", "a\\xgg", "a\\n", "(1"}) {
    const auto result = parse_key_text(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  }
}

}  // namespace
}  // namespace semper
