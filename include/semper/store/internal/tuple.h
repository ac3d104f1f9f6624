// The bodies of Tuple and TupleElement.
//
// What for: store/tuple.h, which includes it at its end. When not: never used directly.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "semper/store/tuple.h"

namespace semper {

inline std::size_t Tuple::size() const noexcept {
  return elements_.size();
}
inline const TupleElement* Tuple::begin() const noexcept {
  return elements_.data();
}
inline const TupleElement* Tuple::end() const noexcept {
  return elements_.data() + size();
}
inline bool operator==(const Tuple& a, const Tuple& b) noexcept {
  return (a <=> b) == 0;
}

template <class T>
std::optional<T> TupleElement::as() const {
  if constexpr (std::same_as<T, std::uint64_t>) {
    return as_uint64();
  } else if constexpr (std::same_as<T, BigInteger>) {
    return as_big_integer();
  } else {
    const T* value = get_if<T>();
    return value == nullptr ? std::nullopt : std::optional<T>(*value);
  }
}

template <class T>
Result<T> Tuple::get(std::size_t index) const {
  if (index < size()) {
    if (auto value = (*this)[index].as<T>()) return std::move(*value);
  }
  return fail(wrong_element(index, TupleElement(T{}).type()));
}

}  // namespace semper
