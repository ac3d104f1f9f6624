#include "semper/base/codec_json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/hex_test_support.h"

namespace web_shop {

// Also a plain aggregate: to_json is preferred.
struct Order {
  std::string item;
  int count = 1;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Order, item, count)

// The functions are friends.
class Account {
 public:
  Account() = default;
  explicit Account(std::int64_t balance) : balance_(balance) {}
  std::int64_t balance() const { return balance_; }

 private:
  NLOHMANN_DEFINE_TYPE_INTRUSIVE(Account, balance_)
  std::int64_t balance_ = 0;
};

// The functions are templates.
enum class State { open, paid };
NLOHMANN_JSON_SERIALIZE_ENUM(State, {{State::open, "open"}, {State::paid, "paid"}})

struct Invoice {
  Order order;
  State state = State::open;
  std::vector<Account> accounts;
};

struct OnlyWritten {
  int x = 0;
};
[[maybe_unused]] void to_json(nlohmann::json& document, const OnlyWritten& value) {
  document = value.x;
}

struct Throws {};
[[maybe_unused]] void to_json(nlohmann::json&, const Throws&) {
  throw std::runtime_error("no");
}
[[maybe_unused]] void from_json(const nlohmann::json&, Throws&) {
  throw 7;  // of no type that is known
}

}  // namespace web_shop

namespace semper {
namespace {

using nlohmann::json;
using testing::from_hex;

template <class T>
std::string json_failure(std::string_view hex) {
  const auto result = decode<T>(from_hex(hex));
  if (result) return "decoded without a failure";
  EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  return result.error().message();
}

TEST(CodecJsonTest, whatever_from_json_throws_is_an_error_of_decoding) {
  EXPECT_EQ(json_failure<web_shop::Throws>("01"),
            "web_shop::Throws, in the item at byte 0: an exception of an unknown type");
}

TEST(CodecJsonTest, a_type_with_both_forms_is_stored_by_name) {
  EXPECT_EQ(to_hex(encode(web_shop::Order{"tea", 2})), "a265636f756e7402646974656d63746561");
  const auto order = decode<web_shop::Order>(encode(web_shop::Order{"tea", 2}));
  ASSERT_TRUE(order.has_value()) << order.error().to_string();
  EXPECT_EQ(order->item, "tea");
  EXPECT_EQ(order->count, 2);
}

TEST(CodecJsonTest, functions_that_are_friends_or_templates_are_found) {
  EXPECT_EQ(to_hex(encode(web_shop::Account(-1))), "a16862616c616e63655f20");
  EXPECT_EQ(decode<web_shop::Account>(encode(web_shop::Account(7)))->balance(), 7);
  EXPECT_EQ(to_hex(encode(web_shop::State::paid)), "6470616964");
  EXPECT_EQ(decode<web_shop::State>(from_hex("6470616964")), web_shop::State::paid);
}

TEST(CodecJsonTest, a_json_type_inside_an_aggregate_keeps_its_names) {
  const web_shop::Invoice invoice{{"cup", 3}, web_shop::State::paid, {web_shop::Account(5)}};
  const Bytes bytes = encode(invoice);
  EXPECT_EQ(bytes.front(), '\x83') << "an array of three fields";
  EXPECT_NE(bytes.find("count"), Bytes::npos);
  const auto back = decode<web_shop::Invoice>(bytes);
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ(back->order.count, 3);
  EXPECT_EQ(back->state, web_shop::State::paid);
  EXPECT_EQ(back->accounts.at(0).balance(), 5);
}

TEST(CodecJsonTest, one_function_alone_does_not_change_how_a_type_is_stored) {
  EXPECT_EQ(to_hex(encode(web_shop::OnlyWritten{5})), "8105");
}

TEST(CodecJsonTest, unknown_and_missing_fields_are_left_to_from_json) {
  const auto order =
      decode<web_shop::Order>(from_hex("a2"
                                       "646974656d"
                                       "6178"
                                       "6161"
                                       "f5"));
  ASSERT_TRUE(order.has_value()) << order.error().to_string();
  EXPECT_EQ(order->item, "x");
  EXPECT_EQ(order->count, 1);
  EXPECT_NE(json_failure<web_shop::Account>("a0").find(
                "web_shop::Account, in the item at byte 0: [json.exception.out_of_range.403]"),
            std::string::npos);
}

TEST(CodecJsonTest, an_exception_of_from_json_is_an_error_with_its_path) {
  const std::string message = json_failure<std::vector<web_shop::Order>>(
      "82a0a165636f756e74"
      "6178");
  EXPECT_EQ(message.find("element 2: web_shop::Order, in the item at byte 2: [json.exception."), 0u)
      << message;
}

TEST(CodecJsonTest, an_exception_of_to_json_reaches_the_caller) {
  EXPECT_THROW(encode(web_shop::Throws()), std::runtime_error);
}

TEST(CodecJsonTest, a_document_comes_back_as_it_was) {
  const json document = {
      {"null", nullptr},
      {"true", true},
      {"numbers",
       {0, -1, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::uint64_t>::max(),
        1.5}},
      {"text", "\xc3\xa4"},
      {"empty", {{"array", json::array()}, {"object", json::object()}}},
      {"binary", json::binary({0, 255})},
  };
  const auto back = decode<json>(encode(document));
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ(*back, document);
  EXPECT_TRUE((*back)["numbers"][3].is_number_unsigned());
  EXPECT_TRUE((*back)["numbers"][4].is_number_float());
}

TEST(CodecJsonTest, a_string_that_is_not_utf8_comes_back_as_a_string) {
  const json document = {{"a", "\xff"}, {"\xfe", 1}};
  EXPECT_EQ(to_hex(encode(document)),
            "a26161da5350423241ff"
            "da5350423241fe01");
  const auto back = decode<json>(encode(document));
  ASSERT_TRUE(back.has_value()) << back.error().to_string();
  EXPECT_EQ(*back, document);
}

TEST(CodecJsonTest, what_has_no_form_in_json_is_refused_with_its_place) {
  EXPECT_EQ(json_failure<json>("c101"), "found tag 1, which has no form in JSON, at byte 0");
  EXPECT_EQ(json_failure<json>("f7"), "expected null, found a simple value at byte 0");
  EXPECT_EQ(json_failure<json>("a10102"),
            "key of entry 1: expected text, found an integer at byte 1");
  EXPECT_EQ(json_failure<json>("3bffffffffffffffff"),
            "found an integer outside 64 bits with sign at byte 0");
  EXPECT_EQ(json_failure<json>("a2616101616102"),
            "key of entry 2: found the same as an earlier one at byte 4");
  EXPECT_EQ(json_failure<json>("a1616181f7"),
            "\"a\": element 1: expected null, found a simple value at byte 4");
  EXPECT_EQ(json_failure<json>(""), "the input ends at byte 0 where an item should start");
  EXPECT_EQ(json_failure<json>("5a"), "found an item that is cut short at byte 0");
}

TEST(CodecJsonTest, a_document_nested_too_deep_is_refused_both_ways) {
  json document;
  for (int level = 0; level < 1000; ++level) document = json::array({std::move(document)});
  EXPECT_THROW(encode(document), std::length_error);
  Bytes bytes(100000, '\x81');
  bytes.push_back('\x80');
  const auto back = decode<json>(bytes);
  ASSERT_FALSE(back.has_value());
  EXPECT_NE(back.error().message().find("nested deeper"), std::string::npos);
}

}  // namespace
}  // namespace semper
