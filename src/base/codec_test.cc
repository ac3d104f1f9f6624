#include "semper/base/codec.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "base/hex_test_support.h"

struct Counter {
  struct Add {
    using Reply = std::int64_t;
    std::int64_t by = 1;
    std::string note = "none";
  };
  struct Read {
    using Reply = std::int64_t;
  };
};

namespace semper {
namespace {

using testing::from_hex;

template <class T>
std::string hex_of(const T& value) {
  return to_hex(encode(value));
}

// The value after a journey through bytes; the message where it does not come back.
template <class T>
T returned(const T& value) {
  const Bytes bytes = encode(value);
  Result<T> back = decode<T>(bytes);
  if (!back) throw std::runtime_error(back.error().to_string() + " in " + to_hex(bytes));
  EXPECT_EQ(encode(*back), bytes) << "the second writing differs";
  return std::move(*back);
}

template <class T>
std::string failure(std::string_view hex, DecodeOptions options = {}) {
  const auto result = decode<T>(from_hex(hex), options);
  if (result) return "decoded without a failure";
  EXPECT_EQ(result.error().kind(), ErrorKind::invalid_argument);
  return result.error().message();
}

// --- numbers ---

TEST(CodecTest, integers_come_back_at_their_borders) {
  EXPECT_EQ(returned(std::numeric_limits<std::int8_t>::min()), -128);
  EXPECT_EQ(returned(std::numeric_limits<std::uint8_t>::max()), 255);
  EXPECT_EQ(returned(std::numeric_limits<std::int16_t>::min()), -32768);
  EXPECT_EQ(returned(std::numeric_limits<std::int64_t>::min()),
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(returned(std::numeric_limits<std::int64_t>::max()),
            std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(returned(std::numeric_limits<std::uint64_t>::max()),
            std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(returned('x'), 'x');
  EXPECT_EQ(returned(true), true);
  EXPECT_EQ(hex_of(false), "f4");
  EXPECT_EQ(hex_of(-1), "20");
}

TEST(CodecTest, an_integer_outside_its_type_is_refused) {
  EXPECT_EQ(failure<std::int8_t>("1880"),
            "expected an integer from -128 to 127, found 128 at byte 0");
  EXPECT_EQ(failure<std::int8_t>("3880"),
            "expected an integer from -128 to 127, found -129 at byte 0");
  EXPECT_EQ(failure<std::uint8_t>("190100"),
            "expected an integer from 0 to 255, found 256 at byte 0");
  EXPECT_EQ(failure<std::uint64_t>("20"),
            "expected an integer from 0 to 18446744073709551615, found -1 at byte 0");
  EXPECT_EQ(failure<std::int64_t>("1b8000000000000000"),
            "expected an integer from -9223372036854775808 to 9223372036854775807, found "
            "9223372036854775808 at byte 0");
  EXPECT_EQ(failure<std::int64_t>("3bffffffffffffffff"),
            "expected an integer from -9223372036854775808 to 9223372036854775807, found "
            "-18446744073709551616 at byte 0");
  EXPECT_EQ(failure<int>("f93c00"), "expected an integer, found a floating-point number at byte 0");
  EXPECT_EQ(failure<bool>("01"), "expected a boolean, found an integer at byte 0");
}

TEST(CodecTest, floats_keep_their_width_and_bits) {
  EXPECT_EQ(hex_of(1.5), "fb3ff8000000000000");
  EXPECT_EQ(hex_of(1.5f), "fa3fc00000");
  EXPECT_EQ(returned(0.1), 0.1);
  EXPECT_EQ(returned(0.1f), 0.1f);
  EXPECT_TRUE(std::isnan(returned(std::numeric_limits<double>::quiet_NaN())));
  EXPECT_EQ(returned(-std::numeric_limits<float>::infinity()),
            -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::signbit(returned(-0.0)));
}

TEST(CodecTest, a_float_takes_an_exact_integer_and_refuses_a_rounded_one) {
  EXPECT_EQ(decode<double>(from_hex("01")), 1.0);
  EXPECT_EQ(decode<double>(from_hex("20")), -1.0);
  EXPECT_EQ(decode<double>(from_hex("1b0020000000000000")), 9007199254740992.0);
  EXPECT_EQ(decode<double>(from_hex("3b001fffffffffffff")), -9007199254740992.0);
  EXPECT_EQ(failure<double>("1b0020000000000001"),
            "expected a floating-point number, found the integer 9007199254740993, which is past "
            "2^53, at byte 0");
  EXPECT_EQ(failure<double>("3b0020000000000000"),
            "expected a floating-point number, found the integer -9007199254740993, which is past "
            "2^53, at byte 0");
  EXPECT_EQ(failure<double>("60"), "expected a number, found text at byte 0");
  EXPECT_EQ(failure<float>("fb7e37e43c8800759c"),
            "expected a float, found a number past its range at byte 0");
  EXPECT_EQ(decode<float>(from_hex("fb7ff0000000000000")), std::numeric_limits<float>::infinity());
}

enum class Colour : std::uint8_t { red, green = 7 };

TEST(CodecTest, an_enum_is_stored_as_its_number) {
  EXPECT_EQ(hex_of(Colour::green), "07");
  EXPECT_EQ(returned(Colour::green), Colour::green);
  EXPECT_EQ(failure<Colour>("190100"), "expected an integer from 0 to 255, found 256 at byte 0");
}

// --- strings ---

TEST(CodecTest, a_string_that_is_not_utf8_is_stored_as_bytes) {
  EXPECT_EQ(hex_of(std::string("IETF")), "6449455446");
  EXPECT_EQ(hex_of(std::string("\xff\x00", 2)), "42ff00");
  EXPECT_EQ(hex_of(std::string_view("ab")), "626162");
  EXPECT_EQ(returned(std::string("\xff\x00", 2)), std::string("\xff\x00", 2));
  EXPECT_EQ(returned(std::string()), "");
  EXPECT_EQ(failure<std::string>("61ff"), "found text that is not UTF-8 at byte 0");
  EXPECT_EQ(failure<std::string>("01"), "expected text, found an integer at byte 0");
}

TEST(CodecTest, bytes_are_not_taken_for_text) {
  EXPECT_EQ(hex_of(ByteString{"ab"}), "426162");
  EXPECT_EQ(returned(ByteString{"ab"}), ByteString{"ab"});
  EXPECT_EQ(failure<ByteString>("626162"), "expected a byte string, found text at byte 0");
  const std::vector<std::byte> bytes = {std::byte{0xff}, std::byte{0}};
  EXPECT_EQ(hex_of(bytes), "42ff00");
  EXPECT_EQ(returned(bytes), bytes);
  const std::vector<std::uint8_t> octets = {1, 2, 3};
  EXPECT_EQ(hex_of(octets), "43010203");
  EXPECT_EQ(returned(octets), octets);
  EXPECT_EQ(returned(std::vector<std::uint8_t>()), std::vector<std::uint8_t>());
  const std::array<std::uint8_t, 2> fixed = {1, 2};
  EXPECT_EQ(hex_of(fixed), "420102");
  EXPECT_EQ(returned(fixed), fixed);
  EXPECT_EQ((failure<std::array<std::uint8_t, 2>>("43010203")),
            "expected 2 bytes, found 3 at byte 0");
}

// --- containers ---

TEST(CodecTest, sequences_come_back_as_they_were) {
  const std::vector<int> numbers = {1, -1, 1000};
  EXPECT_EQ(hex_of(numbers), "8301201903e8");
  EXPECT_EQ(returned(numbers), numbers);
  const std::vector<bool> bits = {true, false};
  EXPECT_EQ(hex_of(bits), "82f5f4");
  EXPECT_EQ(returned(bits), bits);
  const std::deque<std::string> texts = {"a", "b"};
  EXPECT_EQ(returned(texts), texts);
  const std::list<std::vector<int>> lists = {{1}, {}, {2, 3}};
  EXPECT_EQ(returned(lists), lists);
  const std::array<int, 3> three = {1, 2, 3};
  EXPECT_EQ(returned(three), three);
}

TEST(CodecTest, a_failure_in_a_sequence_names_the_element) {
  EXPECT_EQ(failure<std::vector<int>>("820160"),
            "element 2: expected an integer, found text at byte 2");
  EXPECT_EQ(failure<std::vector<bool>>("8101"),
            "element 1: expected a boolean, found an integer at byte 1");
  EXPECT_EQ((failure<std::array<int, 3>>("820102")),
            "expected an array of 3 elements, found 2 at byte 0");
  EXPECT_EQ((failure<std::array<int, 1>>("81f6")),
            "element 1: expected an integer, found null at byte 1");
}

TEST(CodecTest, maps_and_sets_come_back_as_they_were) {
  const std::map<std::string, int> by_name = {{"a", 1}, {"b", 2}};
  EXPECT_EQ(hex_of(by_name), "a2616101616202");
  EXPECT_EQ(returned(by_name), by_name);
  const std::map<int, std::vector<int>> by_number = {{-5, {}}, {7, {1}}};
  EXPECT_EQ(returned(by_number), by_number);
  const std::map<std::pair<int, std::string>, double> by_pair = {{{1, "x"}, 0.5}};
  EXPECT_EQ(returned(by_pair), by_pair);
  const std::unordered_map<std::string, int> unordered = {{"a", 1}, {"b", 2}, {"c", 3}};
  EXPECT_EQ((*decode<std::unordered_map<std::string, int>>(encode(unordered))), unordered);
  const std::set<std::string> set = {"a", "b"};
  EXPECT_EQ(hex_of(set), "8261616162");
  EXPECT_EQ(returned(set), set);
  const std::unordered_set<int> numbers = {1, 2, 3};
  EXPECT_EQ(*decode<std::unordered_set<int>>(encode(numbers)), numbers);
}

TEST(CodecTest, a_repeated_key_is_refused) {
  using Map = std::map<std::string, int>;
  EXPECT_EQ(failure<Map>("a2616101616102"),
            "key of entry 2: found the same as an earlier one at byte 4");
  EXPECT_EQ((failure<std::unordered_map<std::string, int>>("a2616101616102")),
            "key of entry 2: found the same as an earlier one at byte 4");
  EXPECT_EQ(failure<std::set<int>>("820101"),
            "element 2: found the same as an earlier one at byte 2");
  EXPECT_EQ(failure<Map>("a10102"), "key of entry 1: expected text, found an integer at byte 1");
  EXPECT_EQ(failure<Map>("a1616160"), "entry 1: expected an integer, found text at byte 3");
}

TEST(CodecTest, a_pair_or_tuple_comes_back_and_one_of_another_length_is_refused) {
  const std::tuple<int, std::string, bool> tuple = {1, "a", true};
  EXPECT_EQ(hex_of(tuple), "83016161f5");
  EXPECT_EQ(returned(tuple), tuple);
  EXPECT_EQ(returned(std::tuple<>()), std::tuple<>());
  const std::pair<int, int> pair = {1, 2};
  EXPECT_EQ(returned(pair), pair);
  EXPECT_EQ((failure<std::pair<int, int>>("83010203")),
            "expected an array of 2 elements, found 3 at byte 0");
  EXPECT_EQ((failure<std::pair<int, int>>("820160")),
            "element 2: expected an integer, found text at byte 2");
}

// --- alternatives and times ---

TEST(CodecTest, an_optional_keeps_its_absence) {
  EXPECT_EQ(hex_of(std::optional<int>()), "f6");
  EXPECT_EQ(hex_of(std::optional<int>(5)), "05");
  EXPECT_EQ(returned(std::optional<std::string>()), std::nullopt);
  EXPECT_EQ(returned(std::optional<std::string>("")), "");
  EXPECT_EQ(failure<std::optional<int>>("60"), "expected an integer, found text at byte 0");
  EXPECT_NE(failure<std::optional<int>>(""), "decoded without a failure");
}

TEST(CodecTest, a_variant_keeps_its_alternative) {
  using Variant = std::variant<std::monostate, int, std::string, int>;
  EXPECT_EQ(hex_of(Variant()), "820080");
  EXPECT_EQ(hex_of(Variant(std::in_place_index<3>, 5)), "820305");
  EXPECT_EQ(returned(Variant(std::in_place_index<3>, 5)).index(), 3u);
  EXPECT_EQ(returned(Variant("x")), Variant("x"));
  EXPECT_EQ(returned(Variant()).index(), 0u);
  EXPECT_EQ(failure<Variant>("820400"),
            "index of a std::variant: expected an integer from 0 to 3, found 4 at byte 1");
  EXPECT_EQ(failure<Variant>("820160"), "alternative 1: expected an integer, found text at byte 2");
  EXPECT_EQ(failure<Variant>("8101"), "expected an array of 2 elements, found 1 at byte 0");
  EXPECT_EQ(failure<std::monostate>("8101"), "expected an array of 0 elements, found 1 at byte 0");
}

TEST(CodecTest, times_keep_their_unit) {
  using std::chrono::system_clock;
  EXPECT_EQ(hex_of(std::chrono::milliseconds(-5)), "24");
  EXPECT_EQ(returned(std::chrono::nanoseconds::max()), std::chrono::nanoseconds::max());
  EXPECT_EQ(returned(std::chrono::duration<double>(1.5)).count(), 1.5);
  const system_clock::time_point time(std::chrono::seconds(1'700'000'000));
  EXPECT_EQ(returned(time), time);
  using Days = std::chrono::time_point<system_clock, std::chrono::days>;
  EXPECT_EQ(hex_of(Days(std::chrono::days(3))), "03");
}

// --- aggregates ---

struct Line {
  std::string item;
  int count = 1;
};
struct Order {
  std::uint64_t number = 0;
  std::vector<Line> lines;
  std::optional<Line> gift;
  std::map<std::string, Line> extras;
};

TEST(CodecTest, an_aggregate_is_the_array_of_its_fields) {
  EXPECT_EQ(hex_of(Counter::Add{2, "hello"}), "82026568656c6c6f");
  EXPECT_EQ(hex_of(Counter::Read{}), "80");
  const Counter::Add add = returned(Counter::Add{-3, ""});
  EXPECT_EQ(add.by, -3);
  EXPECT_EQ(add.note, "");
  const Order order = returned(Order{7, {{"tea", 2}, {"cup"}}, Line{"bag"}, {{"k", {"v", 3}}}});
  EXPECT_EQ(order.lines.at(1).item, "cup");
  EXPECT_EQ(order.gift.value().item, "bag");
  EXPECT_EQ(order.extras.at("k").count, 3);
}

TEST(CodecTest, missing_fields_keep_their_defaults) {
  const auto none = decode<Counter::Add>(from_hex("80"));
  ASSERT_TRUE(none.has_value());
  EXPECT_EQ(none->by, 1);
  EXPECT_EQ(none->note, "none");
  const auto first = decode<Counter::Add>(from_hex("8105"));
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->by, 5);
  EXPECT_EQ(first->note, "none");
  const auto nested =
      decode<std::vector<Line>>(from_hex("828163746561"
                                         "80"));
  ASSERT_TRUE(nested.has_value());
  EXPECT_EQ(nested->at(0).item, "tea");
  EXPECT_EQ(nested->at(0).count, 1);
}

TEST(CodecTest, surplus_fields_are_ignored_and_refused_when_strict) {
  const auto add =
      decode<Counter::Add>(from_hex("84026161a10102"
                                    "820304"));
  ASSERT_TRUE(add.has_value()) << add.error().to_string();
  EXPECT_EQ(add->note, "a");
  EXPECT_TRUE(decode<Counter::Read>(from_hex("8107")).has_value());
  EXPECT_EQ(failure<Counter::Add>("83026161f6", {.strict = true}),
            "found 1 more than the fields of Counter::Add at byte 4");
  EXPECT_TRUE(decode<Counter::Add>(from_hex("8102"), {.strict = true}).has_value());
}

TEST(CodecTest, a_failure_names_the_whole_path) {
  EXPECT_EQ(failure<Counter::Add>("820201"),
            "field 2 of Counter::Add: expected text, found an integer at byte 2");
  EXPECT_EQ(failure<Order>("8207818163746561"
                           "81"),
            "1 bytes too many after the item that ends at byte 8");
  EXPECT_EQ(failure<Order>("820782"
                           "8163746561"
                           "8263637570"
                           "f5"),
            "field 2 of semper::Order: element 2: field 2 of semper::Line: expected an integer, "
            "found a boolean at byte 13");
  EXPECT_EQ(failure<Counter::Add>("a0"), "expected an array, found a map at byte 0");
  EXPECT_EQ(failure<Counter::Add>(""), "the input ends at byte 0 where an item should start");
  EXPECT_EQ(failure<Counter::Add>("8201"), "found an array longer than the input at byte 0");
}

TEST(CodecTest, bytes_after_the_value_are_refused) {
  EXPECT_EQ(failure<int>("0102"), "1 bytes too many after the item that ends at byte 1");
  EXPECT_EQ(failure<Counter::Read>("8000"), "1 bytes too many after the item that ends at byte 1");
}

TEST(CodecTest, a_container_that_is_read_keeps_none_of_its_old_contents) {
  struct WithDefaults {
    std::vector<int> numbers = {1, 2};
    std::map<int, int> map = {{1, 1}};
    std::set<int> set = {1};
    std::optional<int> optional = 5;
    std::vector<bool> bits = {true};
  };
  const auto value = decode<WithDefaults>(from_hex("8580a080f680"));
  ASSERT_TRUE(value.has_value()) << value.error().to_string();
  EXPECT_TRUE(value->numbers.empty());
  EXPECT_TRUE(value->map.empty());
  EXPECT_TRUE(value->set.empty());
  EXPECT_FALSE(value->optional.has_value());
  EXPECT_TRUE(value->bits.empty());
}

// --- depth ---

struct Tree {
  std::vector<Tree> children;
};
Tree tree_of_depth(int levels) {
  Tree tree;
  if (levels > 1) tree.children.push_back(tree_of_depth(levels - 1));
  return tree;
}

TEST(CodecTest, nesting_past_the_bound_is_neither_written_nor_read) {
  // Each level is an array of fields and an array of children.
  const int most = cbor::kMaxDepth / 2;
  EXPECT_NO_THROW(returned(tree_of_depth(most)));
  EXPECT_THROW(encode(tree_of_depth(most + 1)), std::length_error);
  Bytes deep(1000, '\x81');
  deep.push_back('\x80');
  const auto tree = decode<Tree>(deep);
  ASSERT_FALSE(tree.has_value());
  const std::string& message = tree.error().message();
  EXPECT_NE(message.find("nested deeper than 64 levels at byte 65"), std::string::npos) << message;
  EXPECT_EQ(message.find("...: element 1: field 1 of semper::Tree: "), 0u) << message;
  EXPECT_LT(message.size(), 600u);
}

TEST(CodecTest, an_encode_that_threw_leaves_nothing_for_the_next) {
  EXPECT_THROW(encode(tree_of_depth(cbor::kMaxDepth)), std::length_error);
  EXPECT_EQ(hex_of(1), "01");
}

// --- a codec of the user's ---

struct Money {
  Money() = default;
  explicit Money(std::int64_t c) : cents(c) {}
  std::int64_t cents = 0;
  bool operator==(const Money&) const = default;
};

}  // namespace

template <>
struct Codec<Money> {
  static void encode(const Money& money, Bytes& out) {
    cbor::Writer writer(out);
    writer.text(std::to_string(money.cents));
  }
  static Result<Money> decode(BytesView item) {
    SEMPER_TRY(const std::string text, semper::decode<std::string>(item));
    if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) {
      return fail(ErrorKind::invalid_argument, "expected digits");
    }
    return Money(std::stoll(text));
  }
};

namespace {

TEST(CodecTest, a_users_codec_is_used_inside_other_types) {
  EXPECT_EQ(hex_of(Money(12)), "623132");
  EXPECT_EQ(decode<Money>(from_hex("623132")), Money(12));
  const std::vector<Money> purse = {Money(1), Money(22)};
  EXPECT_EQ(hex_of(purse), "826131623232");
  EXPECT_EQ(returned(purse), purse);
  EXPECT_EQ(failure<std::vector<Money>>("8161"
                                        "78"),
            "element 1: semper::Money, in the item at byte 1: expected digits");
  EXPECT_EQ(failure<std::vector<Money>>("8161"),
            "element 1: found a string longer than the input at byte 1");
}

// --- types with to_json and from_json, in a file that has not included codec_json.h ---

struct Document {};
struct Named {
  int number = 0;
};
[[maybe_unused]] void to_json(Document&, const Named&) {}
[[maybe_unused]] void from_json(const Document&, Named&) {}

// Found all the same, so that encode(Named()) does not compile here instead of writing an array.
static_assert(internal::codec::HasJsonFunctions<Named>);
static_assert(!internal::codec::HasJsonFunctions<Counter::Add>);
static_assert(!internal::codec::HasJsonBridge<Named>);

// --- protobuf, by what it can do ---

class Message {
 public:
  explicit Message(std::string text = "") : text_(std::move(text)) {}
  std::size_t ByteSizeLong() const { return text_.size(); }
  bool AppendToString(std::string* out) const {
    out->append(text_);
    return text_ != "incomplete";
  }
  bool ParseFromArray(const void* data, int size) {
    text_.assign(static_cast<const char*>(data), static_cast<std::size_t>(size));
    return text_ != "bad";
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

TEST(CodecTest, a_message_is_a_tagged_byte_string) {
  EXPECT_EQ(hex_of(Message("ab")), "da53504231426162");
  EXPECT_EQ(returned(Message("ab")).text(), "ab");
  EXPECT_EQ(returned(std::vector<Message>{Message("a"), Message("b")}).at(1).text(), "b");
  EXPECT_EQ(failure<Message>("da5350423143626164"),
            "semper::Message, in the item at byte 0: not a message of this type");
  EXPECT_EQ(failure<Message>("c1426162"),
            "expected tag 1397768753 of a protobuf message, found tag 1 at byte 0");
  EXPECT_EQ(failure<Message>("426162"), "expected a tag, found a byte string at byte 0");
  EXPECT_THROW(encode(Message("incomplete")), std::logic_error);
}

TEST(CodecTest, encode_to_appends_to_what_is_there) {
  Bytes out = "before";
  encode_to(5, out);
  EXPECT_EQ(out, std::string("before\x05"));
}

}  // namespace
}  // namespace semper
