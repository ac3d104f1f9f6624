// Any bytes as values of the types that states and messages have: what was decoded is encoded and
// decoded as the same again, strict decoding reads no more than the other, and memory is bounded by
// the input.
#include <array>
#include <chrono>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>

#include "fuzz/fuzz.h"
#include "semper/base/assert.h"
#include "semper/base/codec.h"
#include "semper/base/codec_json.h"

namespace semper::fuzz {
namespace {

enum class Colour : std::uint8_t { red, green };

struct Line {
  std::string item;
  std::int32_t count = 1;
  std::optional<float> weight;
};

struct Order {
  std::uint64_t number = 0;
  std::vector<Line> lines;
  std::map<std::string, std::int64_t> prices;
  std::variant<std::monostate, std::string, Line> note;
  std::chrono::milliseconds patience{0};
  std::chrono::system_clock::time_point when;
  Colour colour = Colour::red;
  ByteString raw;
  bool paid = false;
  double total = 0;
};

template <class T>
void check_type(BytesView input) {
  const auto value = decode<T>(input);
  const auto strict = decode<T>(input, {.strict = true});
  SEMPER_ASSERT(value || !strict, "strict decoding takes no more");
  if (!value) {
    SEMPER_ASSERT(value.error().kind() == ErrorKind::invalid_argument, "the bytes are wrong");
    return;
  }
  const Bytes encoded = encode(*value);
  const auto again = decode<T>(encoded, {.strict = true});
  SEMPER_ASSERT(again.has_value(), "what was encoded can be decoded, strictly");
  SEMPER_ASSERT(encode(*again).size() == encoded.size(), "what was encoded is decoded as it was");
}

// Of ordered types the bytes are the same, too.
template <class T>
void check_ordered(BytesView input) {
  check_type<T>(input);
  const auto value = decode<T>(input);
  if (!value) return;
  const Bytes encoded = encode(*value);
  SEMPER_ASSERT(encode(*decode<T>(encoded)) == encoded, "one value has one encoding");
}

}  // namespace

std::vector<Bytes> seeds() {
  Order order;
  order.number = 70'000;
  order.lines = {{"tea", 2, 0.5f}, {"\xff", -1, std::nullopt}};
  order.prices = {{"tea", 3}, {"", -70'000}};
  order.note = Line{"x", 1, 1.0f};
  order.raw = ByteString{Bytes("\x00\x01", 2)};
  order.total = 1e300;
  const nlohmann::json document = {{"a", 1}, {"b", {1.5, nullptr, "x"}}, {"c", "\xff"}};
  return {encode(order),
          encode(std::vector<std::string>{"a", "b"}),
          encode(std::unordered_map<std::int64_t, std::string>{{1, "x"}, {-2, "y"}}),
          encode(std::set<std::int32_t>{1, 2, 3}),
          encode(std::array<std::uint8_t, 4>{1, 2, 3, 4}),
          encode(std::tuple<std::int64_t, std::string, bool>{1, "x", true}),
          encode(document)};
}

void check(BytesView input) {
  check_ordered<Order>(input);
  check_ordered<std::vector<Line>>(input);
  check_ordered<std::vector<bool>>(input);
  check_ordered<std::vector<std::monostate>>(input);
  check_ordered<std::vector<std::array<std::int64_t, 4>>>(input);
  check_ordered<std::map<std::string, std::vector<std::string>>>(input);
  check_ordered<std::set<std::int32_t>>(input);
  check_type<std::unordered_map<std::int64_t, std::string>>(input);
  check_type<std::unordered_set<std::string>>(input);
  check_ordered<std::array<std::uint8_t, 4>>(input);
  check_ordered<std::vector<std::uint8_t>>(input);
  check_ordered<std::tuple<std::int64_t, std::string, bool>>(input);
  check_ordered<std::pair<std::uint8_t, std::optional<std::deque<std::int16_t>>>>(input);
  check_ordered<std::list<std::variant<std::int64_t, std::string>>>(input);
  check_ordered<float>(input);
  check_ordered<double>(input);
  check_ordered<Colour>(input);
  check_type<nlohmann::json>(input);
}

}  // namespace semper::fuzz
