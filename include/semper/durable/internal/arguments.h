// Arguments that are kept beside the f of with(), for durable.h and pool.h alone. When not: outside
// this room; give a lambda captures.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

namespace semper::internal {

// Can be called with the value and copies of the others.
// clang-format off: it takes the references for operators
template <class F, class Value, class... Others>
concept UsesToo = std::is_invocable_v<F&, Value, const std::decay_t<Others>&...>;
// clang-format on

// f(value) that calls f with these too. Made in an ordinary function, so that no closure with members
// is part of a co_await expression, which g++ 12 destroys twice.
template <class Value, class F, class... Arguments>
auto with_arguments(F f, Arguments&&... arguments) {
  using Kept = std::tuple<std::decay_t<Arguments>...>;
  return [f = std::move(f), kept = Kept(std::forward<Arguments>(arguments)...)](Value& v) mutable {
    return std::apply([&](const auto&... each) { return f(v, each...); }, kept);
  };
}

}  // namespace semper::internal
