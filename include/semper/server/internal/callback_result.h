// What callbacks return: a value, or an awaitable of one; for behaviour.h alone. When not: a
// callback says Reply, Outcome or void, in a Task where it waits.
#pragma once

#include <type_traits>

#include "semper/env/asio.h"
#include "semper/server/reply.h"

namespace semper::internal {

template <class T>
struct AwaitableValue {
  using type = T;
  static constexpr bool is_awaitable = false;
};
template <class T>
struct AwaitableValue<asio::awaitable<T>> {
  using type = T;
  static constexpr bool is_awaitable = true;
};

// What handle_call may return for a message whose reply is an R.
template <class R, class Returned>
concept IsReply = std::is_constructible_v < Reply<R>,
typename AwaitableValue<Returned>::type > ;

// What handle_cast and handle_info may return: void, or what an Outcome is made of.
template <class Returned>
constexpr bool is_outcome() {
  using Value = typename AwaitableValue<Returned>::type;
  return std::is_void_v<Value> || std::is_constructible_v<Outcome, Value> ||
         (AwaitableValue<Returned>::is_awaitable && std::is_same_v<Value, Result<void>>);
}

}  // namespace semper::internal
