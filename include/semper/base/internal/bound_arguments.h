// Arguments that are kept beside a function: for what takes f and its arguments apart, as
// Store::transact and Durable::with do.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

namespace semper::internal {

// Can be called with the first argument and copies of the others.
// It takes the references for operators.
// clang-format off
template <class F, class First, class... Others>
concept TakesToo = std::is_invocable_v<F&, First, const std::decay_t<Others>&...>;
// clang-format on

// f(first) that calls f with these too. Made in an ordinary function, so that no closure with
// members is part of a co_await expression, which g++ 12 destroys twice.
template <class First, class F, class... Arguments>
auto bind_arguments(F f, Arguments&&... arguments) {
  using Kept = std::tuple<std::decay_t<Arguments>...>;
  return [f = std::move(f),
          kept = Kept(std::forward<Arguments>(arguments)...)](First& first) mutable {
    return std::apply([&](const auto&... each) { return f(first, each...); }, kept);
  };
}

}  // namespace semper::internal
