// Reply<T>, Outcome: what a callback of a durable server says.
//
//   return s += m.by;                                    // reply a value
//   return semper::fail(ErrorKind::not_found, "…");      // reply an error; the state is kept
//   return semper::no_reply;                             // answered later, by ctx.reply_token()
//   return semper::lock();                               // go on in handle_locked, without one
//   return semper::stop("reason");                       // commit, then leave this process's memory
//   return Reply<int>(s.n).then([](const State& s) { log(s); });   // runs after the commit
//
// Outcome is the same for callbacks without a reply value (casts, infos); such a callback may also
// return void.
//
// Actions run after the transaction has committed, in order, with the state it committed, in the
// process that ran the callback; once, or not at all if that process ends first. An action that
// returns ActionFlow::halt ends the rest of that callback's actions. They must not block.
// When not: what must happen for certain is a message (Context::cast) or a lock, not an action.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

#include "semper/base/assert.h"
#include "semper/base/result.h"

namespace semper {

enum class ActionFlow : std::uint8_t { go_on, halt };

struct NoReply {};
inline constexpr NoReply no_reply{};

struct Lock {};
inline Lock lock() {
  return {};
}

struct Stop {
  std::string reason;
};
inline Stop stop(std::string reason) {
  return Stop{std::move(reason)};
}

namespace internal {

enum class Next : std::uint8_t { go_on, stop, lock };

// An action, with the type of the state that it wants.
struct Action {
  std::type_index state_type;
  std::function<ActionFlow(const void*)> run;
};

template <class F>
struct ActionArgument : ActionArgument<decltype(&F::operator())> {};
template <class R, class C, class S>
struct ActionArgument<R (C::*)(const S&) const> {
  using type = S;
};
template <class R, class C, class S>
struct ActionArgument<R (C::*)(const S&)> {
  using type = S;
};

template <class F>
Action make_action(F function) {
  using State = typename ActionArgument<F>::type;
  return {typeid(State), [function = std::move(function)](const void* state) mutable {
            const State& typed = *static_cast<const State*>(state);
            if constexpr (std::is_void_v<decltype(function(typed))>) {
              function(typed);
              return ActionFlow::go_on;
            } else {
              return function(typed);
            }
          }};
}

// What every Reply carries besides its value.
struct ReplyControl {
  Next next = Next::go_on;
  std::string stop_reason;
  std::vector<Action> actions;
};

}  // namespace internal

template <class T>
class [[nodiscard]] Reply {
 public:
  // NOLINTBEGIN(google-explicit-constructor): callbacks return plain values.
  template <class U = T>
  requires(std::is_constructible_v<T, U&&> && !std::is_same_v<std::remove_cvref_t<U>, Reply> &&
           !std::is_same_v<std::remove_cvref_t<U>, NoReply> &&
           !std::is_same_v<std::remove_cvref_t<U>, Lock> &&
           !std::is_same_v<std::remove_cvref_t<U>, Stop> &&
           !std::is_same_v<std::remove_cvref_t<U>, tl::unexpected<Error>>) Reply(U&& value)
      : value_(T(std::forward<U>(value))) {}
  Reply(Result<T> value) : value_(std::move(value)) {}
  Reply(tl::unexpected<Error> error) : value_(Result<T>(std::move(error))) {}
  Reply(NoReply) {}
  Reply(Lock) { control_.next = internal::Next::lock; }
  Reply(Stop stop) {
    control_.next = internal::Next::stop;
    control_.stop_reason = std::move(stop.reason);
  }
  // NOLINTEND(google-explicit-constructor)

  // Adds an action, a callable with one argument: const State&.
  template <class F>
  Reply then(F action) && {
    control_.actions.push_back(internal::make_action(std::move(action)));
    return std::move(*this);
  }

  // After replying, also leave this process's memory.
  Reply stop(std::string reason) && {
    control_.next = internal::Next::stop;
    control_.stop_reason = std::move(reason);
    return std::move(*this);
  }

  std::optional<Result<T>>& value() { return value_; }
  internal::ReplyControl& control() { return control_; }

 private:
  std::optional<Result<T>> value_;  // empty: no reply now
  internal::ReplyControl control_;
};

// A callback's end without a value.
class [[nodiscard]] Outcome {
 public:
  // NOLINTBEGIN(google-explicit-constructor): callbacks return plain values.
  Outcome() = default;
  Outcome(NoReply) {}
  Outcome(Lock) { control_.next = internal::Next::lock; }
  Outcome(Stop stop) {
    control_.next = internal::Next::stop;
    control_.stop_reason = std::move(stop.reason);
  }
  // The message failed: nothing of it is applied, and it is retried, then set aside.
  Outcome(tl::unexpected<Error> error) : error_(std::move(error.value())) {}
  // NOLINTEND(google-explicit-constructor)

  template <class F>
  Outcome then(F action) && {
    control_.actions.push_back(internal::make_action(std::move(action)));
    return std::move(*this);
  }

  std::optional<Error>& error() { return error_; }
  internal::ReplyControl& control() { return control_; }

 private:
  std::optional<Error> error_;
  internal::ReplyControl control_;
};

}  // namespace semper
