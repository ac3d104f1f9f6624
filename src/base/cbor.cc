#include "semper/base/cbor.h"

#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "semper/base/assert.h"

namespace semper::cbor {
namespace {

// "Additional information" of an initial byte, RFC 8949 section 3.
constexpr std::uint8_t kOneByteFollows = 24;
constexpr std::uint8_t kTwoBytesFollow = 25;
constexpr std::uint8_t kFourBytesFollow = 26;
constexpr std::uint8_t kEightBytesFollow = 27;
constexpr std::uint8_t kIndefinite = 31;

constexpr std::uint8_t kFalse = 20;
constexpr std::uint8_t kTrue = 21;
constexpr std::uint8_t kNull = 22;

constexpr Kind kKindOfMajor[] = {Kind::unsigned_integer,
                                 Kind::negative_integer,
                                 Kind::bytes,
                                 Kind::text,
                                 Kind::array,
                                 Kind::map,
                                 Kind::tag};

double half_to_double(std::uint16_t half) {
  const int exponent = half >> 10 & 0x1f;
  const int fraction = half & 0x3ff;
  double magnitude = 0;
  if (exponent == 0) {
    magnitude = std::ldexp(fraction, -24);
  } else if (exponent != 31) {
    magnitude = std::ldexp(fraction + 1024, exponent - 25);
  } else {
    magnitude = fraction == 0 ? std::numeric_limits<double>::infinity()
                              : std::numeric_limits<double>::quiet_NaN();
  }
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

}  // namespace

std::string_view to_string(Kind kind) noexcept {
  switch (kind) {
    case Kind::unsigned_integer:
      return "an integer";
    case Kind::negative_integer:
      return "a negative integer";
    case Kind::bytes:
      return "a byte string";
    case Kind::text:
      return "text";
    case Kind::array:
      return "an array";
    case Kind::map:
      return "a map";
    case Kind::tag:
      return "a tag";
    case Kind::boolean:
      return "a boolean";
    case Kind::null:
      return "null";
    case Kind::floating:
      return "a floating-point number";
    case Kind::simple:
      return "a simple value";
    case Kind::end:
      return "the end of the input";
  }
  return "an unknown kind";
}

void Writer::long_head(std::uint8_t major, std::uint64_t argument) {
  char octets[9];
  std::size_t size = 0;
  if (argument <= 0xff) {
    octets[0] = static_cast<char>(major | kOneByteFollows);
    size = 1;
  } else if (argument <= 0xffff) {
    octets[0] = static_cast<char>(major | kTwoBytesFollow);
    size = 2;
  } else if (argument <= 0xffffffff) {
    octets[0] = static_cast<char>(major | kFourBytesFollow);
    size = 4;
  } else {
    octets[0] = static_cast<char>(major | kEightBytesFollow);
    size = 8;
  }
  for (std::size_t i = 0; i < size; ++i) {
    octets[1 + i] = static_cast<char>(argument >> (8 * (size - 1 - i)));
  }
  out_.append(octets, 1 + size);
}

void Writer::simple(std::uint8_t value) {
  SEMPER_ASSERT(value < kFalse || value == 23 || value > 31,
                "20 to 22 have their own functions, 24 to 31 are reserved");
  head(0xe0, value);
}

void Writer::floating(float value) {
  out_.push_back(static_cast<char>(0xe0 | kFourBytesFollow));
  append_big_endian_u32(out_, std::bit_cast<std::uint32_t>(value));
}

void Writer::floating(double value) {
  out_.push_back(static_cast<char>(0xe0 | kEightBytesFollow));
  append_big_endian_u64(out_, std::bit_cast<std::uint64_t>(value));
}

Kind Reader::peek() const noexcept {
  if (failed_ || at_ == input_.size()) return Kind::end;
  const auto initial = static_cast<unsigned char>(input_[at_]);
  if (initial < 0xe0) return kKindOfMajor[initial >> 5];
  switch (initial & 0x1f) {
    case kFalse:
    case kTrue:
      return Kind::boolean;
    case kNull:
      return Kind::null;
    case kTwoBytesFollow:
    case kFourBytesFollow:
    case kEightBytesFollow:
      return Kind::floating;
    default:
      return Kind::simple;
  }
}

bool Reader::read(Item& item) {
  if (failed_) return false;
  item.offset = at_;
  if (at_ == input_.size()) {
    return fail("the input ends at byte " + std::to_string(at_) + " where an item should start");
  }
  const auto initial = static_cast<unsigned char>(input_[at_]);
  ++at_;
  const auto information = static_cast<std::uint8_t>(initial & 0x1f);
  if (initial >= 0xe0) return read_simple_or_floating(information, item);
  item.kind = kKindOfMajor[initial >> 5];
  if (information < kOneByteFollows) {
    item.argument = information;
  } else if (!read_argument(information, item)) {
    return false;
  }
  switch (item.kind) {
    case Kind::bytes:
    case Kind::text:
      if (item.argument > bytes_left())
        return fail_at("a string longer than the input", item.offset);
      item.string = input_.substr(at_, item.argument);
      at_ += item.argument;
      if (item.kind == Kind::text && !is_utf8(item.string)) {
        return fail_at("text that is not UTF-8", item.offset);
      }
      return true;
    case Kind::array:
      if (item.argument > bytes_left())
        return fail_at("an array longer than the input", item.offset);
      return true;
    case Kind::map:
      if (item.argument > bytes_left() / 2)
        return fail_at("a map longer than the input", item.offset);
      return true;
    default:
      return true;
  }
}

// The bytes after an initial byte whose information is 24 or more.
bool Reader::read_argument(std::uint8_t information, Item& item) {
  if (information > kEightBytesFollow) {
    return fail_at(information == kIndefinite
                       ? "an indefinite length or a break, neither of which is accepted"
                       : "an initial byte that CBOR reserves",
                   item.offset);
  }
  const std::size_t size = std::size_t{1} << (information - kOneByteFollows);
  if (size > bytes_left()) return fail_at("an item that is cut short", item.offset);
  item.argument = 0;
  for (std::size_t i = 0; i < size; ++i) {
    item.argument = item.argument << 8 | static_cast<unsigned char>(input_[at_ + i]);
  }
  at_ += size;
  return true;
}

bool Reader::read_simple_or_floating(std::uint8_t information, Item& item) {
  if (information < kOneByteFollows) {
    item.argument = information;
  } else if (!read_argument(information, item)) {
    return false;
  }
  item.kind = Kind::floating;
  switch (information) {
    case kFalse:
    case kTrue:
      item.kind = Kind::boolean;
      item.argument = information == kTrue ? 1 : 0;
      return true;
    case kNull:
      item.kind = Kind::null;
      return true;
    case kTwoBytesFollow:
      item.is_single = true;
      item.number = half_to_double(static_cast<std::uint16_t>(item.argument));
      return true;
    case kFourBytesFollow:
      item.is_single = true;
      item.number = std::bit_cast<float>(static_cast<std::uint32_t>(item.argument));
      return true;
    case kEightBytesFollow:
      item.is_single = false;
      item.number = std::bit_cast<double>(item.argument);
      return true;
    case kOneByteFollows:
      if (item.argument < 32) return fail_at("a simple value in a form CBOR forbids", item.offset);
      [[fallthrough]];
    default:
      item.kind = Kind::simple;
      return true;
  }
}

bool Reader::read_unsigned(std::uint64_t& value) {
  Item item;
  if (!read(item)) return false;
  if (item.kind != Kind::unsigned_integer) return fail_expected("an integer from 0", item);
  value = item.argument;
  return true;
}

bool Reader::read_signed(std::int64_t& value) {
  Item item;
  if (!read(item)) return false;
  if (item.kind != Kind::unsigned_integer && item.kind != Kind::negative_integer) {
    return fail_expected("an integer", item);
  }
  if (item.argument > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return fail_at("an integer outside 64 bits with sign", item.offset);
  }
  value = static_cast<std::int64_t>(item.argument);
  if (item.kind == Kind::negative_integer) value = ~value;
  return true;
}

bool Reader::read_boolean(bool& value) {
  Item item;
  if (!read(item)) return false;
  if (item.kind != Kind::boolean) return fail_expected("a boolean", item);
  value = item.truth();
  return true;
}

bool Reader::read_null() {
  Item item;
  if (!read(item)) return false;
  return item.kind == Kind::null || fail_expected("null", item);
}

bool Reader::read_floating(double& value) {
  Item item;
  if (!read(item)) return false;
  if (item.kind != Kind::floating) return fail_expected("a floating-point number", item);
  value = item.number;
  return true;
}

bool Reader::read_text(std::string_view& value) {
  Item item;
  if (!read(item)) return false;
  if (item.kind != Kind::text) return fail_expected("text", item);
  value = item.string;
  return true;
}

bool Reader::read_bytes(BytesView& value) {
  Item item;
  if (!read(item)) return false;
  if (item.kind != Kind::bytes) return fail_expected("a byte string", item);
  value = item.string;
  return true;
}

bool Reader::read_long_array(std::uint64_t& elements) {
  Item item;
  if (!read(item)) return false;
  if (item.kind != Kind::array) return fail_expected("an array", item);
  elements = item.argument;
  return true;
}

bool Reader::fail_short_array() {
  return fail_at("an array longer than the input", at_ - 1);
}

bool Reader::read_map(std::uint64_t& entries) {
  Item item;
  if (!read(item)) return false;
  if (item.kind != Kind::map) return fail_expected("a map", item);
  entries = item.argument;
  return true;
}

bool Reader::read_tag(std::uint64_t& number) {
  Item item;
  if (!read(item)) return false;
  if (item.kind != Kind::tag) return fail_expected("a tag", item);
  number = item.argument;
  return true;
}

bool Reader::skip() {
  // Counts the items still due instead of descending into them, so no depth is too deep. It ends:
  // each round consumes a byte.
  for (std::uint64_t due = 1; due > 0; --due) {
    Item item;
    if (!read(item)) return false;
    if (item.kind == Kind::array) due += item.argument;
    if (item.kind == Kind::map) due += 2 * item.argument;
    if (item.kind == Kind::tag) due += 1;
    if (due - 1 > bytes_left()) return fail_at("more items than the input holds", item.offset);
  }
  return true;
}

bool Reader::read_raw(BytesView& item) {
  const std::size_t start = at_;
  if (!skip()) return false;
  item = input_.substr(start, at_ - start);
  return true;
}

bool Reader::enter() {
  if (failed_) return false;
  if (depth_ == kMaxDepth) {
    return fail("nested deeper than " + std::to_string(kMaxDepth) + " levels at byte " +
                std::to_string(at_));
  }
  ++depth_;
  return true;
}

bool Reader::finish() {
  if (failed_) return false;
  if (at_ == input_.size()) return true;
  return fail(std::to_string(bytes_left()) + " bytes too many after the item that ends at byte " +
              std::to_string(at_));
}

bool Reader::fail(std::string message) {
  if (!failed_) message_ = std::move(message);
  failed_ = true;
  return false;
}

bool Reader::fail_at(std::string_view what, std::size_t offset) {
  return fail("found " + std::string(what) + " at byte " + std::to_string(offset));
}

bool Reader::fail_expected(std::string_view what, const Item& found) {
  std::string message = "expected ";
  message.append(what).append(", found ").append(to_string(found.kind));
  message.append(" at byte ").append(std::to_string(found.offset));
  return fail(std::move(message));
}

void Reader::add_place(std::string_view place) {
  SEMPER_ASSERT(failed_, "only a failure has a place");
  constexpr std::string_view kMore = "...: ";
  if (message_.size() <= kMaxMessageBytes) {
    message_.insert(0, ": ").insert(0, place);
  } else if (message_.compare(0, kMore.size(), kMore) != 0) {
    message_.insert(0, kMore);
  }
}

Error Reader::error() const {
  SEMPER_ASSERT(failed_, "error() is asked for after a read has failed");
  return Error(ErrorKind::invalid_argument, message_);
}

}  // namespace semper::cbor
