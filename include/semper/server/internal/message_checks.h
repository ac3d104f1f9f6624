// What the compiler says of a message that a behaviour lists and does not take.
//
// A callback that is misspelt, or takes other types, is none: messages would be set aside as dead
// letters when they come, weeks later. So a listed message needs a callback, one with a Reply a
// handle_call, and what is called handle_call, handle_cast, handle_info or handle_locked must take
// what those take. A callback for another message with a misspelt name cannot be told from any
// other function.
#pragma once

#include <concepts>
#include <tuple>
#include <type_traits>
#include <utility>

#include "semper/server/behaviour.h"

namespace semper::internal {

// Calls b.handle_NAME(arguments...), whatever it takes.
struct ToCall {
  template <class B, class... A>
  auto operator()(B& b, A&&... a) const -> decltype(b.handle_call(std::forward<A>(a)...));
};
struct ToCast {
  template <class B, class... A>
  auto operator()(B& b, A&&... a) const -> decltype(b.handle_cast(std::forward<A>(a)...));
};
struct ToInfo {
  template <class B, class... A>
  auto operator()(B& b, A&&... a) const -> decltype(b.handle_info(std::forward<A>(a)...));
};
struct ToLocked {
  template <class B, class... A>
  auto operator()(B& b, A&&... a) const -> decltype(b.handle_locked(std::forward<A>(a)...));
};

// Whether a callback takes this message, but not as it comes: without the state or the context,
// with another context, with a message or a state that may be changed or is no State.
template <class Callback, class B, class M, class S, class C, class Other>
constexpr bool takes_otherwise() {
  if constexpr (std::is_invocable_v<Callback, B&, const M&, S&, C&>) {
    return false;
  } else {
    return std::is_invocable_v<Callback, B&, M&, S&, C&> ||
           std::is_invocable_v<Callback, B&, M, S&, C&> ||
           std::is_invocable_v<Callback, B&, const M&, S, C&> ||
           std::is_invocable_v<Callback, B&, const M&, S*, C&> ||
           std::is_invocable_v<Callback, B&, const M&, S&, C*> ||
           std::is_invocable_v<Callback, B&, const M&, S&, Other&> ||
           std::is_invocable_v<Callback, B&, const M&, C&, S&> ||
           std::is_invocable_v<Callback, B&, S&, const M&, C&> ||
           std::is_invocable_v<Callback, B&, const M&, S&> ||
           std::is_invocable_v<Callback, B&, const M&, C&> ||
           std::is_invocable_v<Callback, B&, const M&>;
  }
}

template <class M>
concept HasReply = requires {
  typename M::Reply;
};

// Void, or what an Outcome is made of.
template <class Callback, class B, class M, class S, class C>
constexpr bool returns_outcome() {
  if constexpr (std::is_invocable_v<Callback, B&, const M&, S&, C&>) {
    return is_outcome<std::invoke_result_t<Callback, B&, const M&, S&, C&>>();
  } else {
    return true;
  }
}

// Whether this callback takes the message, and returns an awaitable.
template <class Callback, class B, class M>
constexpr bool callback_waits() {
  if constexpr (std::is_invocable_v<Callback, B&, const M&, typename B::State&, Context&>) {
    using Returned = std::invoke_result_t<Callback, B&, const M&, typename B::State&, Context&>;
    return AwaitableValue<Returned>::is_awaitable;
  } else {
    return false;
  }
}
template <class B, class M>
constexpr bool any_callback_waits() {
  return callback_waits<ToCall, B, M>() || callback_waits<ToCast, B, M>() ||
         callback_waits<ToInfo, B, M>();
}

// A callback that changes a copy of the state.
template <class B, class M>
concept CastsOnACopy = requires {
  static_cast<void (B::*)(const M&, typename B::State, Context&)>(&B::handle_cast);
}
|| requires {
  static_cast<Outcome (B::*)(const M&, typename B::State, Context&)>(&B::handle_cast);
};
template <class B, class M>
concept CallsOnACopy = requires {
  static_cast<Reply<typename M::Reply> (B::*)(const M&, typename B::State, Context&)>(
      &B::handle_call);
};

template <class B, class M>
struct CheckedMessage {
  using S = typename B::State;

  static_assert(!takes_otherwise<ToCall, B, M, S, Context, LockedContext>(),
                "handle_call takes (const M&, State&, Context&)");
  static_assert(!takes_otherwise<ToCast, B, M, S, Context, LockedContext>(),
                "handle_cast takes (const M&, State&, Context&)");
  static_assert(!takes_otherwise<ToInfo, B, M, S, Context, LockedContext>(),
                "handle_info takes (const M&, State&, Context&)");
  static_assert(!takes_otherwise<ToLocked, B, M, S, LockedContext, Context>(),
                "handle_locked takes (const M&, State&, LockedContext&)");
  static_assert(!CastsOnACopy<B, M> && !CallsOnACopy<B, M>,
                "a callback takes State&: what it does to a copy is lost");

  static constexpr bool is_called = std::is_invocable_v<ToCall, B&, const M&, S&, Context&>;
  static_assert(!is_called || HasReply<M>,
                "a message that handle_call takes says what the reply is: using Reply = ...");
  static_assert(!is_called || !HasReply<M> || HandlesCall<B, M>,
                "handle_call returns semper::Reply<M::Reply>, what that is made of, or a Task of "
                "one of them");
  static_assert(returns_outcome<ToCast, B, M, S, Context>(),
                "handle_cast returns void, semper::Outcome, or a Task of one of them");
  static_assert(returns_outcome<ToInfo, B, M, S, Context>(),
                "handle_info returns void, semper::Outcome, or a Task of one of them");

  static_assert(is_called || !HasReply<M>,
                "a listed message has a Reply and no handle_call(const M&, State&, Context&)");
  static_assert(is_called || HandlesCast<B, M> || HandlesInfo<B, M>,
                "a listed message has no callback that takes it: handle_call, handle_cast or "
                "handle_info of (const M&, State&, Context&)");
  static constexpr bool value = true;
};

// Instantiates it for each: the compiler's notes name the behaviour and the message.
template <class B, class... M>
constexpr bool takes_all_messages(std::type_identity<std::tuple<M...>>) {
  return (CheckedMessage<B, M>::value && ...);
}

}  // namespace semper::internal
