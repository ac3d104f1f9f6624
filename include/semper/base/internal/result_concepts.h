// What a Result can be made of.
#pragma once

#include <tl/expected.hpp>
#include <type_traits>

namespace semper {

template <class T>
class Result;

namespace internal {

template <class U>
inline constexpr bool kIsUnexpected = false;
template <class E>
inline constexpr bool kIsUnexpected<tl::unexpected<E>> = true;
template <class U>
inline constexpr bool kIsExpected = false;
template <class T, class E>
inline constexpr bool kIsExpected<tl::expected<T, E>> = true;
template <class T>
inline constexpr bool kIsExpected<Result<T>> = true;

template <class U, class T>
concept IsValueFor =
    std::is_constructible_v<T, U&&> && !kIsUnexpected<std::remove_cvref_t<U>> &&
    !kIsExpected<std::remove_cvref_t<U>> && !std::is_same_v<std::remove_cvref_t<U>, tl::in_place_t>;

template <class U, class T>
concept IsOtherResultFor = !std::is_same_v<U, T> && std::is_convertible_v<U, T>;

}  // namespace internal
}  // namespace semper
