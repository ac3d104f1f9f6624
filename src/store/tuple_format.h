// The type codes of the tuple encoding and its small arithmetic, shared by writer, reader and text.
//
// The codes and rules are those of FoundationDB's published tuple layer. A code of 0xff is never
// used: a zero byte followed by 0xff is an escaped zero byte, or a null inside a nested tuple.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace semper::internal {

enum TupleCode : std::uint8_t {
  code_null = 0x00,
  code_bytes = 0x01,
  code_text = 0x02,
  code_nested = 0x05,
  code_negative_big = 0x0b,  // one's complement of length and magnitude
  code_zero = 0x14,          // 0x14 - n and 0x14 + n: integers of n bytes, 1 <= n <= 8
  code_positive_big = 0x1d,  // length, magnitude
  code_float = 0x20,
  code_double = 0x21,
  code_false = 0x26,
  code_true = 0x27,
  code_uuid = 0x30,
  code_versionstamp = 0x33,
  code_escape = 0xff
};

inline constexpr std::size_t integer_bytes_maximum = 8;

// Bits of a floating point number to an unsigned integer of the same order, and back: all bits are
// inverted below zero, the sign bit alone from zero on.
template <class Bits>
constexpr Bits order_float_bits(Bits bits) noexcept {
  constexpr Bits sign = Bits{1} << (8 * sizeof(Bits) - 1);
  return (bits & sign) != 0 ? static_cast<Bits>(~bits) : static_cast<Bits>(bits ^ sign);
}
template <class Bits>
constexpr Bits unorder_float_bits(Bits ordered) noexcept {
  constexpr Bits sign = Bits{1} << (8 * sizeof(Bits) - 1);
  return (ordered & sign) != 0 ? static_cast<Bits>(ordered ^ sign) : static_cast<Bits>(~ordered);
}

inline std::uint32_t ordered_bits(float value) noexcept {
  return order_float_bits(std::bit_cast<std::uint32_t>(value));
}
inline std::uint64_t ordered_bits(double value) noexcept {
  return order_float_bits(std::bit_cast<std::uint64_t>(value));
}

// How many bytes the magnitude takes: 0 for zero, at most 8.
constexpr std::size_t significant_bytes(std::uint64_t magnitude) noexcept {
  return (static_cast<std::size_t>(std::bit_width(magnitude)) + 7) / 8;
}

}  // namespace semper::internal
