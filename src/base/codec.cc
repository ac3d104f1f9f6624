#include "semper/base/codec.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

namespace semper::internal::codec {
namespace {

std::string at_byte(std::size_t offset) {
  return " at byte " + std::to_string(offset);
}

// The number of an integer item, which may lie outside 64 bits with sign.
std::string decimal(const cbor::Item& item) {
  if (item.kind == cbor::Kind::unsigned_integer) return std::to_string(item.argument);
  if (item.argument == std::numeric_limits<std::uint64_t>::max()) return "-18446744073709551616";
  return "-" + std::to_string(item.argument + 1);
}

}  // namespace

void Encoder::throw_too_deep() {
  throw std::length_error("semper: a value nested deeper than " + std::to_string(cbor::kMaxDepth) +
                          " levels cannot be stored, because it could not be read back");
}

void throw_not_serializable(std::string_view type) {
  throw std::logic_error("semper: " + std::string(type) +
                         " does not serialize; set its required fields first");
}

bool Decoder::read_long_integer(IntegerRange range, std::uint64_t& bits) {
  cbor::Item item;
  if (!read(item)) return false;
  if (item.kind == cbor::Kind::unsigned_integer) {
    bits = item.argument;
    if (bits <= range.largest) return true;
  } else if (item.kind == cbor::Kind::negative_integer) {
    bits = ~item.argument;
    // The smallest is -1-n with n = -1-smallest, which is its complement.
    if (range.smallest < 0 && item.argument <= ~static_cast<std::uint64_t>(range.smallest)) {
      return true;
    }
  } else {
    return fail_expected("an integer", item);
  }
  return fail("expected an integer from " + std::to_string(range.smallest) + " to " +
              std::to_string(range.largest) + ", found " + decimal(item) + at_byte(item.offset));
}

bool Decoder::read_number(double& value) {
  constexpr std::uint64_t kExactIntegers = std::uint64_t{1} << 53;
  cbor::Item item;
  if (!read(item)) return false;
  if (item.kind == cbor::Kind::floating) {
    value = item.number;
    return true;
  }
  const bool is_negative = item.kind == cbor::Kind::negative_integer;
  if (item.kind != cbor::Kind::unsigned_integer && !is_negative) {
    return fail_expected("a number", item);
  }
  if (item.argument > kExactIntegers - (is_negative ? 1 : 0)) {
    return fail("expected a floating-point number, found the integer " + decimal(item) +
                ", which is past 2^53," + at_byte(item.offset));
  }
  value = static_cast<double>(item.argument);
  if (is_negative) value = -1 - value;
  return true;
}

bool Decoder::read_number(float& value) {
  const std::size_t start = offset();
  double wide = 0;
  if (!read_number(wide)) return false;
  value = static_cast<float>(wide);
  if (std::isfinite(wide) && !std::isfinite(value)) {
    return fail("expected a float, found a number past its range" + at_byte(start));
  }
  return true;
}

bool Decoder::read_string(BytesView& value) {
  cbor::Item item;
  if (!read(item)) return false;
  value = item.string;
  return item.kind == cbor::Kind::text || item.kind == cbor::Kind::bytes ||
         fail_expected("text", item);
}

bool Decoder::read_exact_bytes(char* out, std::size_t size) {
  const std::size_t start = offset();
  BytesView bytes;
  if (!read_bytes(bytes)) return false;
  if (bytes.size() != size) {
    return fail("expected " + std::to_string(size) + " bytes, found " +
                std::to_string(bytes.size()) + at_byte(start));
  }
  if (size > 0) std::memcpy(out, bytes.data(), size);
  return true;
}

bool Decoder::read_exact_array(std::uint64_t elements) {
  const std::size_t start = offset();
  std::uint64_t found = 0;
  if (!read_array(found)) return false;
  return found == elements || fail("expected an array of " + std::to_string(elements) +
                                   " elements, found " + std::to_string(found) + at_byte(start));
}

bool Decoder::skip_surplus(std::uint64_t fields, std::string_view type) {
  if (fields > 0 && options_.strict) {
    return fail("found " + std::to_string(fields) + " more than the fields of " +
                std::string(type) + at_byte(offset()));
  }
  for (; fields > 0; --fields) {
    if (!skip()) return false;
  }
  return true;
}

bool Decoder::read_protobuf(BytesView& message) {
  const std::size_t start = offset();
  std::uint64_t tag = 0;
  if (!read_tag(tag)) return false;
  if (tag != kProtobufTag) {
    return fail("expected tag " + std::to_string(kProtobufTag) +
                " of a protobuf message, found tag " + std::to_string(tag) + at_byte(start));
  }
  if (!read_bytes(message)) return false;
  return message.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()) ||
         fail("found a protobuf message past 2 GiB" + at_byte(start));
}

bool Decoder::fail_in_field(std::size_t number, std::string_view type) {
  add_place("field " + std::to_string(number) + " of " + std::string(type));
  return false;
}

bool Decoder::fail_in(std::string_view part, std::uint64_t number) {
  add_place(std::string(part) + " " + std::to_string(number));
  return false;
}

bool Decoder::fail_repeated(std::string_view part, std::uint64_t number, std::size_t offset) {
  fail("found the same as an earlier one" + at_byte(offset));
  return fail_in(part, number);
}

bool Decoder::fail_with(std::string_view what, std::string_view message, std::size_t item_offset) {
  std::string text(what);
  text.append(", in the item").append(at_byte(item_offset)).append(": ").append(message);
  return fail(std::move(text));
}

namespace {
Bytes& thread_buffer() {
  thread_local Bytes buffer;
  return buffer;
}
}  // namespace

ScratchBuffer::ScratchBuffer() noexcept {
  bytes_.swap(thread_buffer());
}

ScratchBuffer::~ScratchBuffer() {
  if (bytes_.capacity() > kKeptBytes) return;
  bytes_.clear();
  bytes_.swap(thread_buffer());
}

}  // namespace semper::internal::codec
