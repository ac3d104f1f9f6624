// BigInteger: an integer of up to 255 bytes, as tuple keys can hold one.
//
// What for: reading and writing tuple elements beyond 64 bits without losing a digit. When not:
// arithmetic; there is none. TupleElement keeps a number that fits in std::int64_t as that.
//
//   auto big = semper::BigInteger::from_string("-340282366920938463463374607431768211456").value();
//   big.to_int64();                          // std::nullopt
//   semper::BigInteger(7).to_string();       // "7"
//
// A sign and a magnitude in big-endian bytes without leading zeros; zero is never negative, so
// equal numbers are equal values. The bound comes from FoundationDB's tuple encoding, which writes
// the length in one byte.
//
// Threads: a value, freely copied and moved between threads.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/base/result.h"

namespace semper {

enum class Sign : std::uint8_t { positive, negative };

class BigInteger {
 public:
  static constexpr std::size_t max_magnitude_bytes = 255;

  // Zero.
  BigInteger() = default;

  template <std::signed_integral Integer>
  explicit BigInteger(Integer value) : BigInteger(from_signed(value)) {}
  template <std::unsigned_integral Integer>
  requires(!std::same_as<Integer, bool>) explicit BigInteger(Integer value)
      : BigInteger(from_unsigned(value, Sign::positive)) {}

  // The number with this sign and these big-endian bytes; leading zeros are dropped first.
  // invalid_argument: more than max_magnitude_bytes are left; such a number cannot be a key.
  static Result<BigInteger> from_magnitude(Sign sign, BytesView magnitude);

  // Decimal digits with an optional '-' in front. invalid_argument: anything else, or a number over
  // max_magnitude_bytes; correct the text.
  static Result<BigInteger> from_string(std::string_view decimal);

  Sign sign() const noexcept { return sign_; }

  // Big endian, no leading zeros, empty for zero. Lives as long as this object.
  BytesView magnitude() const noexcept { return magnitude_; }

  // The same number, if it fits.
  std::optional<std::int64_t> to_int64() const noexcept;
  std::optional<std::uint64_t> to_uint64() const noexcept;

  // Decimal digits, '-' in front of a negative number.
  std::string to_string() const;

  // Numeric order.
  friend bool operator==(const BigInteger&, const BigInteger&) = default;
  friend std::strong_ordering operator<=>(const BigInteger& a, const BigInteger& b) noexcept;

 private:
  static BigInteger from_signed(std::int64_t value);
  static BigInteger from_unsigned(std::uint64_t magnitude, Sign sign);

  Sign sign_ = Sign::positive;
  Bytes magnitude_;
};

}  // namespace semper
