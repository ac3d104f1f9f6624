#include "semper/store/big_integer.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace semper {
namespace {

// 255 bytes hold numbers of at most 615 decimal digits.
constexpr std::size_t max_decimal_digits = 615;
// Digits are taken nine at a time: the largest power of ten below 2^32.
constexpr std::uint32_t chunk_base = 1'000'000'000;
constexpr std::size_t chunk_digits = 9;

BytesView without_leading_zeros(BytesView bytes) {
  const auto first = bytes.find_first_not_of('\0');
  return first == BytesView::npos ? BytesView() : bytes.substr(first);
}

std::optional<std::uint64_t> load_magnitude(BytesView magnitude) noexcept {
  if (magnitude.size() > sizeof(std::uint64_t)) return std::nullopt;
  std::uint64_t value = 0;
  for (const char byte : magnitude) value = (value << 8) | static_cast<unsigned char>(byte);
  return value;
}

// bytes = bytes * multiplier + addend, big endian, growing at the front as needed.
void multiply_add(Bytes& bytes, std::uint32_t multiplier, std::uint32_t addend) {
  std::uint64_t carry = addend;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    carry += std::uint64_t{multiplier} * static_cast<unsigned char>(bytes[i]);
    bytes[i] = static_cast<char>(carry & 0xff);
    carry >>= 8;
  }
  Bytes front;
  for (; carry != 0; carry >>= 8) front.push_back(static_cast<char>(carry & 0xff));
  std::reverse(front.begin(), front.end());
  bytes.insert(0, front);
}

// bytes = bytes / divisor, returns the remainder.
std::uint32_t divide(Bytes& bytes, std::uint32_t divisor) {
  std::uint64_t remainder = 0;
  for (char& byte : bytes) {
    remainder = (remainder << 8) | static_cast<unsigned char>(byte);
    byte = static_cast<char>(remainder / divisor);
    remainder %= divisor;
  }
  return static_cast<std::uint32_t>(remainder);
}

Error too_large() {
  return Error(ErrorKind::invalid_argument,
               "the integer needs more than " + std::to_string(BigInteger::max_magnitude_bytes) +
                   " bytes; a tuple cannot hold it, store it as bytes or text");
}

}  // namespace

BigInteger BigInteger::from_unsigned(std::uint64_t magnitude, Sign sign) {
  BigInteger result;
  Bytes bytes;
  append_big_endian_u64(bytes, magnitude);
  result.magnitude_ = Bytes(without_leading_zeros(bytes));
  result.sign_ = magnitude == 0 ? Sign::positive : sign;
  return result;
}

BigInteger BigInteger::from_signed(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  return value < 0 ? from_unsigned(~bits + 1, Sign::negative) : from_unsigned(bits, Sign::positive);
}

Result<BigInteger> BigInteger::from_magnitude(Sign sign, BytesView magnitude) {
  const BytesView significant = without_leading_zeros(magnitude);
  if (significant.size() > max_magnitude_bytes) return fail(too_large());
  BigInteger result;
  result.magnitude_ = Bytes(significant);
  result.sign_ = significant.empty() ? Sign::positive : sign;
  return result;
}

Result<BigInteger> BigInteger::from_string(std::string_view decimal) {
  std::string_view digits = decimal;
  const bool is_negative = !digits.empty() && digits.front() == '-';
  if (is_negative) digits.remove_prefix(1);
  const bool is_decimal =
      !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
  if (!is_decimal) {
    return fail(ErrorKind::invalid_argument,
                "\"" + to_printable(decimal, 64) +
                    "\" is not an integer; write decimal digits with an optional '-' in front");
  }
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.size() > max_decimal_digits) return fail(too_large());
  Bytes magnitude;
  while (!digits.empty()) {
    const std::size_t count = std::min(chunk_digits, digits.size());
    std::uint32_t chunk = 0;
    std::uint32_t scale = 1;
    for (const char digit : digits.substr(0, count)) {
      chunk = chunk * 10 + static_cast<std::uint32_t>(digit - '0');
      scale *= 10;
    }
    multiply_add(magnitude, scale, chunk);
    digits.remove_prefix(count);
  }
  return from_magnitude(is_negative ? Sign::negative : Sign::positive, magnitude);
}

std::optional<std::int64_t> BigInteger::to_int64() const noexcept {
  const auto magnitude = load_magnitude(magnitude_);
  constexpr auto largest = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!magnitude) return std::nullopt;
  if (sign_ == Sign::positive) {
    if (*magnitude > largest) return std::nullopt;
    return static_cast<std::int64_t>(*magnitude);
  }
  if (*magnitude > largest + 1) return std::nullopt;
  return static_cast<std::int64_t>(~*magnitude + 1);
}

std::optional<std::uint64_t> BigInteger::to_uint64() const noexcept {
  return sign_ == Sign::negative ? std::nullopt : load_magnitude(magnitude_);
}

std::string BigInteger::to_string() const {
  if (magnitude_.empty()) return "0";
  std::vector<std::uint32_t> chunks;  // least significant first
  Bytes rest = magnitude_;
  while (!rest.empty()) {
    chunks.push_back(divide(rest, chunk_base));
    rest.erase(0, std::min(rest.find_first_not_of('\0'), rest.size()));
  }
  std::string text = sign_ == Sign::negative ? "-" : "";
  text += std::to_string(chunks.back());
  for (std::size_t i = chunks.size() - 1; i-- > 0;) {
    const std::string chunk = std::to_string(chunks[i]);
    text.append(chunk_digits - chunk.size(), '0');
    text += chunk;
  }
  return text;
}

std::strong_ordering operator<=>(const BigInteger& a, const BigInteger& b) noexcept {
  if (a.sign_ != b.sign_) {
    return a.sign_ == Sign::negative ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  const auto by_length = a.magnitude_.size() <=> b.magnitude_.size();
  const auto by_magnitude = by_length != 0 ? by_length : a.magnitude_ <=> b.magnitude_;
  return a.sign_ == Sign::positive ? by_magnitude : 0 <=> by_magnitude;
}

}  // namespace semper
