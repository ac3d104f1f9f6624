// The fields of a plain aggregate, without any macro at the type: how many, and each by reference.
//
// What for: codec.h, which stores aggregates by position. When not: anything that needs the names
// of fields; C++20 does not provide them.
//
//   struct Add { std::int64_t by = 1; std::string note; };
//   static_assert(semper::field_count<Add> == 2);
//
//   semper::visit_fields(add, [](auto&... fields) { (print(fields), ...); });
//
// Up to kMaxFields fields of any movable types, default member initialisers and type aliases
// inside. Refused by a static_assert that says so: bases, C arrays (use std::array), private
// fields, virtual functions, user-declared constructors. Bit-fields and references do not compile.
//
// How it works: the count is the largest number of braced initialisers that the type accepts, each
// of a type that converts to anything; the references come from structured bindings. The idea is
// Antony Polukhin's (Boost.PFR, "magic get").
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "semper/base/internal/aggregate.h"

namespace semper {

inline constexpr std::size_t kMaxFields = internal::kMaxAggregateFields;

template <class T>
inline constexpr std::size_t field_count = internal::count_fields<std::remove_cv_t<T>>();

// Calls visitor(field1, field2, ...) with references into `value` and returns what it returns.
template <class T, class Visitor>
constexpr decltype(auto) visit_fields(T& value, Visitor&& visitor) {
  return internal::visit_aggregate<field_count<T>>(value, std::forward<Visitor>(visitor));
}

}  // namespace semper
