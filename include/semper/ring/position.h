// Position: a place in a ring's endless stream of bytes.
//
// What for: what push and pop return, and what advance takes. When not: a place on the device (that
// is the position modulo the ring's capacity), or a number of items.
//
//   SEMPER_CO_TRY(ring::Position end, co_await producer.push("an item"));
//   SEMPER_CO_TRY_STATUS(co_await producer.advance(end));
//
// Positions of one ring have a total order and grow forever; a ring that produces a gigabyte a
// second runs out of them after 580 years. The text form is the decimal number, so that people can
// write it down and type it in.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "semper/base/result.h"

namespace semper {
namespace ring {

class Position {
 public:
  // The beginning of every ring.
  constexpr Position() = default;

  // For positions that were stored, or shown to a person. An operation refuses a position that the
  // ring never returned (`invalid_argument`).
  static constexpr Position from_offset(std::uint64_t offset) noexcept { return Position(offset); }

  constexpr std::uint64_t offset() const noexcept { return offset_; }

  std::string to_string() const { return std::to_string(offset_); }

  // The inverse of to_string(). Error: invalid_argument.
  static Result<Position> parse(std::string_view text);

  friend constexpr auto operator<=>(const Position&, const Position&) = default;

 private:
  explicit constexpr Position(std::uint64_t offset) noexcept : offset_(offset) {}

  std::uint64_t offset_ = 0;
};

}  // namespace ring

using RingPosition = ring::Position;

}  // namespace semper
