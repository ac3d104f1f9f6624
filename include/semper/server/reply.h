// Reply<T>, Outcome: the result of a durable server's callback.
//
//   return s += m.by;                                    // reply a value
//   return semper::fail(ErrorKind::not_found, "…");      // reply an error; the state is kept
//   return semper::no_reply;                             // answered later, by ctx.reply_token()
//   return semper::lock();                               // go on in handle_locked, without one
//   return semper::stop("reason");                       // commit, then leave the memory
//   return Reply<int>(s.n).then(s, [](const auto& s) { log(s); });   // runs after the commit
//
// Outcome is the same for callbacks without a reply value (casts, infos); such a callback may also
// return void.
//
// Actions run after the transaction has committed, in order, with the committed state, in the
// process that ran the callback: once, or not at all if that process ends first. If an action
// returns ActionFlow::halt, the remaining actions of that callback do not run. Actions must not
// block. When not: for effects that must happen, use a message (Context::cast) or a lock, not an
// action.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "semper/base/result.h"
#include "semper/server/internal/action.h"

namespace semper {

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

  // Adds an action: a lambda (which may be move-only) or a function, with one argument, const
  // State&. The first form takes the callback's state, so that the compiler refuses an action for
  // another type, and the argument may be `auto`. The second form uses the type that the action
  // names: if that is not the entity's State, the message fails with `internal`, and nothing is
  // applied.
  template <class State, class F>
  requires std::is_invocable_v<F&, const State&> Reply then(const State&, F action) && {
    control_.actions.push_back(internal::make_action<State>(std::move(action)));
    return std::move(*this);
  }
  template <class F>
  Reply then(F action) && {
    control_.actions.push_back(internal::make_action_by_itself(std::move(action)));
    return std::move(*this);
  }

  // After replying, also removes the entity from this process's memory.
  Reply stop(std::string reason) && {
    control_.next = internal::Next::stop;
    control_.stop_reason = std::move(reason);
    return std::move(*this);
  }

  // The callback's reply; empty: none yet.
  const std::optional<Result<T>>& value() const { return value_; }

 private:
  friend struct internal::ReplyParts;
  std::optional<Result<T>> value_;  // empty: no reply now
  internal::ReplyControl control_;
};

// The result of a callback that has no reply value.
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
  // The message failed: nothing is applied, and it is retried, then set aside.
  Outcome(tl::unexpected<Error> error) : error_(std::move(error.value())) {}
  // NOLINTEND(google-explicit-constructor)

  // As Reply's.
  template <class State, class F>
  requires std::is_invocable_v<F&, const State&> Outcome then(const State&, F action) && {
    control_.actions.push_back(internal::make_action<State>(std::move(action)));
    return std::move(*this);
  }
  template <class F>
  Outcome then(F action) && {
    control_.actions.push_back(internal::make_action_by_itself(std::move(action)));
    return std::move(*this);
  }

  const std::optional<Error>& error() const { return error_; }

 private:
  friend struct internal::ReplyParts;
  std::optional<Error> error_;
  internal::ReplyControl control_;
};

}  // namespace semper
