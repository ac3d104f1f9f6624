// The decoding half of store/tuple_stream.h.
#include <algorithm>
#include <cstring>
#include <optional>

#include "semper/base/assert.h"
#include "semper/store/tuple.h"
#include "semper/store/tuple_stream.h"
#include "store/tuple_format.h"

namespace semper {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): the codes

std::uint8_t octet_at(BytesView bytes, std::size_t offset) {
  return static_cast<std::uint8_t>(bytes[offset]);
}

std::optional<TupleType> type_of_code(std::uint8_t code) {
  switch (code) {
    case code_null:
      return TupleType::null;
    case code_bytes:
      return TupleType::bytes;
    case code_text:
      return TupleType::text;
    case code_nested:
      return TupleType::nested;
    case code_float:
      return TupleType::float32;
    case code_double:
      return TupleType::float64;
    case code_false:
    case code_true:
      return TupleType::boolean;
    case code_uuid:
      return TupleType::uuid;
    case code_versionstamp:
      return TupleType::versionstamp;
    default:
      break;
  }
  if (code >= code_negative_big && code <= code_positive_big) return TupleType::integer;
  return std::nullopt;
}

// Bytes after the type code, for types whose length is always the same.
std::size_t fixed_length(TupleType type) {
  switch (type) {
    case TupleType::boolean:
      return 0;
    case TupleType::float32:
      return sizeof(float);
    case TupleType::float64:
      return sizeof(double);
    case TupleType::uuid:
      return Uuid::size;
    case TupleType::versionstamp:
      return Versionstamp::size;
    default:
      break;
  }
  SEMPER_ASSERT(false, "asked only for types of fixed length");
}

Error error_at(std::size_t offset, std::string_view what) {
  return Error(ErrorKind::corrupt, "not a tuple key of the expected shape: at byte " +
                                       std::to_string(offset) + ": " + std::string(what));
}

// Appends `raw` with each escaped zero byte as one zero byte.
void append_unescaped(BytesView raw, Bytes& out) {
  while (!raw.empty()) {
    const auto zero = raw.find('\0');
    if (zero == BytesView::npos) {
      out.append(raw);
      return;
    }
    out.append(raw.substr(0, zero + 1));
    raw.remove_prefix(zero + 2);
  }
}

// Where the text is not UTF-8 between its escapes, the offset of that piece; nothing where it is.
std::optional<std::size_t> piece_not_utf8(BytesView raw) {
  std::size_t offset = 0;
  while (true) {
    const auto zero = raw.find('\0', offset);
    if (!is_utf8(raw.substr(offset, zero == BytesView::npos ? zero : zero - offset))) return offset;
    if (zero == BytesView::npos) return std::nullopt;
    offset = zero + 2;
  }
}

}  // namespace

struct TupleReader::String {
  BytesView raw;
  bool has_escapes = false;
  std::size_t end = 0;
};

struct TupleReader::Integer {
  Sign sign = Sign::positive;
  std::uint64_t small = 0;  // the magnitude, where big is empty
  BytesView big;            // as written: one's complement below zero
  std::size_t end = 0;

  BigInteger to_big_integer() const;
};

struct TupleReader::Fixed {
  std::uint8_t code = 0;
  BytesView payload;
  std::size_t end = 0;
};

BigInteger TupleReader::Integer::to_big_integer() const {
  Bytes magnitude(big);
  if (big.empty()) {
    append_big_endian_u64(magnitude, small);
  } else if (sign == Sign::negative) {
    for (char& octet : magnitude) octet = static_cast<char>(~octet);
  }
  auto integer = BigInteger::from_magnitude(sign, magnitude);
  SEMPER_ASSERT(integer.has_value(), "one length byte cannot say more than the largest magnitude");
  return std::move(*integer);
}

bool TupleReader::at_end() const noexcept {
  if (at_ >= bytes_.size()) return depth_ == 0;
  if (depth_ == 0 || bytes_[at_] != '\0') return false;
  return at_ + 1 == bytes_.size() || octet_at(bytes_, at_ + 1) != code_escape;
}

Result<TupleType> TupleReader::peek() const {
  if (at_ >= bytes_.size()) return fail(error_at(at_, "the bytes end where an element is due"));
  if (at_end()) return fail(error_at(at_, "the nested tuple ends where an element is due"));
  const std::uint8_t code = octet_at(bytes_, at_);
  if (const auto type = type_of_code(code)) return *type;
  return fail(error_at(at_, "0x" + to_hex(bytes_.substr(at_, 1)) +
                                " is not the code of any type that is read here"));
}

Status TupleReader::expect(TupleType wanted) const {
  SEMPER_TRY(const auto type, peek());
  if (type == wanted) return {};
  return fail(error_at(at_, std::string(to_string(type)) + " where " +
                                std::string(to_string(wanted)) + " is expected"));
}

Status TupleReader::expect_end() const {
  if (depth_ == 0 && at_ == bytes_.size()) return {};
  return fail(error_at(at_, depth_ == 0 ? "more bytes where the tuple should end"
                                        : "a nested tuple was entered and not left"));
}

Result<TupleReader::String> TupleReader::parse_string(TupleType type) const {
  SEMPER_TRY_STATUS(expect(type));
  String string;
  for (std::size_t from = at_ + 1;;) {
    const auto zero = bytes_.find('\0', from);
    if (zero == BytesView::npos) {
      return fail(error_at(
          at_, std::string(to_string(type)) + " that starts here has no zero byte at its end"));
    }
    if (zero + 1 == bytes_.size() || octet_at(bytes_, zero + 1) != code_escape) {
      string.raw = bytes_.substr(at_ + 1, zero - at_ - 1);
      string.end = zero + 1;
      break;
    }
    string.has_escapes = true;
    from = zero + 2;
  }
  if (type == TupleType::text) {
    if (const auto offset = piece_not_utf8(string.raw)) {
      return fail(error_at(at_ + 1 + *offset, "text from here on is not UTF-8"));
    }
  }
  return string;
}

Result<BytesView> TupleReader::consume_string(TupleType type, Bytes& scratch) {
  SEMPER_TRY(const auto string, parse_string(type));
  at_ = string.end;
  if (!string.has_escapes) return string.raw;
  scratch.clear();
  append_unescaped(string.raw, scratch);
  return BytesView(scratch);
}

Result<TupleReader::Integer> TupleReader::parse_integer() const {
  SEMPER_TRY_STATUS(expect(TupleType::integer));
  const std::uint8_t code = octet_at(bytes_, at_);
  const bool is_big = code == code_negative_big || code == code_positive_big;
  Integer integer;
  integer.sign = code < code_zero ? Sign::negative : Sign::positive;
  const std::uint8_t flip = integer.sign == Sign::negative ? 0xff : 0x00;
  std::size_t length = code < code_zero ? code_zero - code : code - code_zero;
  std::size_t start = at_ + 1;
  if (is_big) {
    if (start == bytes_.size()) return fail(error_at(at_, "the integer's length is missing"));
    length = octet_at(bytes_, start) ^ flip;
    ++start;
  }
  if (bytes_.size() - start < length) {
    return fail(error_at(at_, "the integer needs " + std::to_string(length) + " bytes, only " +
                                  std::to_string(bytes_.size() - start) + " are there"));
  }
  const bool has_leading_zero = length > 0 && octet_at(bytes_, start) == flip;
  if (has_leading_zero || (is_big && length <= integer_bytes_maximum)) {
    return fail(error_at(at_, "the integer is not written in the fewest bytes"));
  }
  integer.end = start + length;
  if (is_big) {
    integer.big = bytes_.substr(start, length);
    return integer;
  }
  for (std::size_t i = start; i < integer.end; ++i) {
    const auto octet = static_cast<std::uint8_t>(octet_at(bytes_, i) ^ flip);
    integer.small = (integer.small << 8) | octet;
  }
  return integer;
}

Result<TupleReader::Fixed> TupleReader::parse_fixed(TupleType type) const {
  SEMPER_TRY_STATUS(expect(type));
  const std::size_t length = fixed_length(type);
  const std::size_t available = bytes_.size() - at_ - 1;
  if (available < length) {
    return fail(error_at(at_, std::string(to_string(type)) + " needs " + std::to_string(length) +
                                  " bytes, only " + std::to_string(available) + " are there"));
  }
  return Fixed{octet_at(bytes_, at_), bytes_.substr(at_ + 1, length), at_ + 1 + length};
}

Status TupleReader::read_null() {
  SEMPER_TRY_STATUS(expect(TupleType::null));
  at_ += depth_ == 0 ? 1 : 2;
  return {};
}

Result<BytesView> TupleReader::read_bytes(Bytes& scratch) {
  return consume_string(TupleType::bytes, scratch);
}

Result<std::string_view> TupleReader::read_text(Bytes& scratch) {
  return consume_string(TupleType::text, scratch);
}

Result<std::int64_t> TupleReader::read_int64() {
  SEMPER_TRY(const auto integer, parse_integer());
  constexpr std::uint64_t half = std::uint64_t{1} << 63;
  const bool is_negative = integer.sign == Sign::negative;
  if (!integer.big.empty() || integer.small > half - (is_negative ? 0 : 1)) {
    return fail(error_at(at_, "the integer does not fit in 64 bits with a sign"));
  }
  at_ = integer.end;
  return static_cast<std::int64_t>(is_negative ? ~integer.small + 1 : integer.small);
}

Result<std::uint64_t> TupleReader::read_uint64() {
  SEMPER_TRY(const auto integer, parse_integer());
  if (integer.sign == Sign::negative || !integer.big.empty()) {
    return fail(error_at(at_, "the integer does not fit in 64 bits without a sign"));
  }
  at_ = integer.end;
  return integer.small;
}

Result<BigInteger> TupleReader::read_integer() {
  SEMPER_TRY(const auto integer, parse_integer());
  at_ = integer.end;
  return integer.to_big_integer();
}

Result<float> TupleReader::read_float() {
  SEMPER_TRY(const auto fixed, parse_fixed(TupleType::float32));
  at_ = fixed.end;
  return std::bit_cast<float>(unorder_float_bits(load_big_endian_u32(fixed.payload)));
}

Result<double> TupleReader::read_double() {
  SEMPER_TRY(const auto fixed, parse_fixed(TupleType::float64));
  at_ = fixed.end;
  return std::bit_cast<double>(unorder_float_bits(load_big_endian_u64(fixed.payload)));
}

Result<bool> TupleReader::read_boolean() {
  SEMPER_TRY(const auto fixed, parse_fixed(TupleType::boolean));
  at_ = fixed.end;
  return fixed.code == code_true;
}

Result<Uuid> TupleReader::read_uuid() {
  SEMPER_TRY(const auto fixed, parse_fixed(TupleType::uuid));
  at_ = fixed.end;
  return Uuid::from_bytes(fixed.payload);
}

Result<Versionstamp> TupleReader::read_versionstamp() {
  SEMPER_TRY(const auto fixed, parse_fixed(TupleType::versionstamp));
  at_ = fixed.end;
  return Versionstamp::from_bytes(fixed.payload);
}

Status TupleReader::enter_nested() {
  SEMPER_TRY_STATUS(expect(TupleType::nested));
  if (depth_ == kTupleDepthMaximum) {
    return fail(error_at(
        at_, "tuples are nested more than " + std::to_string(kTupleDepthMaximum) + " deep"));
  }
  ++depth_;
  ++at_;
  return {};
}

Status TupleReader::leave_nested() {
  if (depth_ == 0 || !at_end()) {
    return fail(error_at(at_, "the nested tuple that was entered does not end here"));
  }
  --depth_;
  ++at_;
  return {};
}

Result<TupleElement> TupleReader::read_element() {
  SEMPER_TRY(const auto type, peek());
  Bytes scratch;
  switch (type) {
    case TupleType::null:
      return read_null().map([] { return TupleElement(); });
    case TupleType::bytes:
      return read_bytes(scratch).map([](auto v) { return TupleElement(ByteString{Bytes(v)}); });
    case TupleType::text:
      return read_text(scratch).map([](auto v) { return TupleElement(v); });
    case TupleType::integer:
      return read_integer().map([](auto v) { return TupleElement(v); });
    case TupleType::float32:
      return read_float().map([](auto v) { return TupleElement(v); });
    case TupleType::float64:
      return read_double().map([](auto v) { return TupleElement(v); });
    case TupleType::boolean:
      return read_boolean().map([](auto v) { return TupleElement(v); });
    case TupleType::uuid:
      return read_uuid().map([](auto v) { return TupleElement(v); });
    case TupleType::versionstamp:
      return read_versionstamp().map([](auto v) { return TupleElement(v); });
    case TupleType::nested:
      break;
  }
  TupleReader inner = *this;  // so that an error leaves this reader where it is
  SEMPER_TRY_STATUS(inner.enter_nested());
  Tuple nested;
  while (!inner.at_end()) {
    SEMPER_TRY(auto element, inner.read_element());
    nested.append(std::move(element));
  }
  SEMPER_TRY_STATUS(inner.leave_nested());
  *this = inner;
  return TupleElement(std::move(nested));
}

Status TupleReader::skip_nested() {
  TupleReader inner = *this;
  SEMPER_TRY_STATUS(inner.enter_nested());
  while (!inner.at_end()) SEMPER_TRY_STATUS(inner.skip());
  SEMPER_TRY_STATUS(inner.leave_nested());
  *this = inner;
  return {};
}

Status TupleReader::skip() {
  SEMPER_TRY(const auto type, peek());
  switch (type) {
    case TupleType::null:
      return read_null();
    case TupleType::nested:
      return skip_nested();
    case TupleType::bytes:
    case TupleType::text:
      return parse_string(type).map([this](const auto& parsed) { at_ = parsed.end; });
    case TupleType::integer:
      return parse_integer().map([this](const auto& parsed) { at_ = parsed.end; });
    default:
      return parse_fixed(type).map([this](const auto& parsed) { at_ = parsed.end; });
  }
}

}  // namespace semper
