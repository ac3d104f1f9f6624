// TupleType: the types of the elements of tuples (store/tuple.h), in the order in which they sort.
//
// When not: to get the value of an element, use TupleElement::get_if and as.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace semper {

// A tuple inside a tuple inside a tuple ...: at most this many inside the outermost one.
inline constexpr std::size_t kTupleDepthMaximum = 64;

enum class TupleType : std::uint8_t {
  null,
  bytes,
  text,
  nested,
  integer,
  float32,
  float64,
  boolean,
  uuid,
  versionstamp
};

// "text", "64-bit float", ...: for messages.
std::string_view to_string(TupleType type) noexcept;

}  // namespace semper
