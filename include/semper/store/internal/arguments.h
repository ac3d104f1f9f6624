// Arguments that are kept beside the function of Store::transact; for store.h alone. When not: give
// a function that has a name captures.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

namespace semper {

class Transaction;

namespace internal {

// Can be called with the first argument and copies of the others.
// clang-format off: it takes the references for operators
template <class F, class First, class... Others>
concept TakesToo = std::is_invocable_v<F&, First, const std::decay_t<Others>&...>;
// clang-format on

// fn(transaction) that calls fn with these too. Made in an ordinary function, so that no closure with
// members is part of a co_await expression, which g++ 12 destroys twice.
template <class F, class... Arguments>
auto bind_arguments(F fn, Arguments&&... arguments) {
  using Kept = std::tuple<std::decay_t<Arguments>...>;
  return [fn = std::move(fn),
          kept = Kept(std::forward<Arguments>(arguments)...)](Transaction& transaction) mutable {
    return std::apply([&](const auto&... each) { return fn(transaction, each...); }, kept);
  };
}

}  // namespace internal
}  // namespace semper
