// Watched<B>: a behaviour B whose callbacks are told to a witness; for harness.h alone.
//
// It has B's name, state and messages, so that hosts, refs and the store see no difference.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeindex>
#include <utility>

#include "semper/base/cbor_json.h"
#include "semper/base/codec.h"
#include "semper/base/internal/thrown.h"
#include "semper/base/type_name.h"
#include "semper/server/behaviour.h"
#include "semper/server/internal/behaviour_of.h"
#include "semper/server/internal/declared.h"
#include "semper/testing/internal/harness_witness.h"

namespace semper::testing::internal {

using semper::internal::ReplyParts;
using semper::internal::ToCall;
using semper::internal::ToCast;
using semper::internal::ToInfo;

// As JSON on one line, for people.
inline std::string shown_item(BytesView item) {
  return cbor_to_json(item).value_or("(" + std::to_string(item.size()) + " bytes, no CBOR)");
}
template <class T>
std::string shown_value(const T& value) {
  return shown_item(encode(value));
}

template <class T>
std::string shown_reply(Reply<T>& reply) {
  using semper::internal::Next;
  const auto& control = ReplyParts::control(reply);
  std::string text;
  if (control.next == Next::lock) text = "asks for the lock";
  if (reply.value()) {
    text = *reply.value() ? "replies " + shown_value(**reply.value())
                          : "replies the error " + reply.value()->error().to_string();
  } else if (text.empty()) {
    text = "replies later";
  }
  if (control.next == Next::stop) text += ", stops: " + control.stop_reason;
  return text;
}
inline std::string shown_reply(Outcome& outcome) {
  using semper::internal::Next;
  if (outcome.error()) return "fails: " + outcome.error()->to_string();
  const auto& control = ReplyParts::control(outcome);
  if (control.next == Next::lock) return "asks for the lock";
  if (control.next == Next::stop) return "stops: " + control.stop_reason;
  return "done";
}

template <class B, class M>
using LockedReturn = decltype(std::declval<B&>().handle_locked(
    std::declval<const M&>(), std::declval<typename B::State&>(), std::declval<LockedContext&>()));
template <class B, class M>
concept AwaitsLocked = semper::internal::AwaitableValue<LockedReturn<B, M>>::is_awaitable;
// void becomes Outcome.
template <class B, class M>
using LockedValue = std::conditional_t<
    std::is_void_v<typename semper::internal::AwaitableValue<LockedReturn<B, M>>::type>, Outcome,
    typename semper::internal::AwaitableValue<LockedReturn<B, M>>::type>;

template <BehaviourType B>
class Watched {
  template <class Callback, class M>
  static constexpr bool waits() {
    return semper::internal::callback_waits<Callback, B, M>();
  }

 public:
  static constexpr std::string_view kName = type_name<B>();
  static constexpr bool kDropsUnknownFields = semper::internal::DropsUnknownFields<B>;
  static constexpr std::int64_t kStateVersion = semper::internal::state_version_of<B>();
  static constexpr semper::internal::LetterRules kLetterRules =
      semper::internal::letter_rules_of<B>();
  using State = typename B::State;
  using Messages = typename B::Messages;

  Watched(std::shared_ptr<B> behaviour, std::shared_ptr<HarnessWitness> witness)
      : behaviour_(std::move(behaviour)), witness_(std::move(witness)) {}

  Result<State> init(const EntityId& id) { return behaviour_->init(id); }

  template <class T = B>
  requires semper::internal::UpgradesState<T> Result<State> upgrade(int from, BytesView old) {
    return behaviour_->upgrade(from, old);
  }

  // Those that wait are told of when they have ended: others run meanwhile.
  template <class M>
  requires(HandlesCall<B, M>&& waits<ToCall, M>()) Task<Reply<typename M::Reply>> handle_call(
      const M& message, State& state, Context& context) {
    try {
      auto value = co_await behaviour_->handle_call(message, state, context);
      Reply<typename M::Reply> reply(std::move(value));
      tell_waited("handle_call", message, reply, state, context);
      co_return reply;
    } catch (...) {
      tell_thrown("handle_call", message, context);
      throw;
    }
  }

  template <class M>
  requires(HandlesCast<B, M>&& waits<ToCast, M>()) Task<Outcome> handle_cast(const M& message,
                                                                             State& state,
                                                                             Context& context) {
    try {
      Outcome outcome = co_await outcome_of(behaviour_->handle_cast(message, state, context));
      tell_waited("handle_cast", message, outcome, state, context);
      co_return outcome;
    } catch (...) {
      tell_thrown("handle_cast", message, context);
      throw;
    }
  }

  template <class M>
  requires(HandlesInfo<B, M>&& waits<ToInfo, M>()) Task<Outcome> handle_info(const M& message,
                                                                             State& state,
                                                                             Context& context) {
    try {
      Outcome outcome = co_await outcome_of(behaviour_->handle_info(message, state, context));
      tell_waited("handle_info", message, outcome, state, context);
      co_return outcome;
    } catch (...) {
      tell_thrown("handle_info", message, context);
      throw;
    }
  }

  template <class M>
  requires(HandlesCall<B, M> &&
           !waits<ToCall, M>()) Reply<typename M::Reply> handle_call(const M& message, State& state,
                                                                     Context& context) {
    return in_transaction("handle_call", message, state, context, [&] {
      return Reply<typename M::Reply>(behaviour_->handle_call(message, state, context));
    });
  }

  template <class M>
  requires(HandlesCast<B, M> && !waits<ToCast, M>()) Outcome
      handle_cast(const M& message, State& state, Context& context) {
    return in_transaction("handle_cast", message, state, context, [&]() -> Outcome {
      if constexpr (std::is_void_v<decltype(behaviour_->handle_cast(message, state, context))>) {
        behaviour_->handle_cast(message, state, context);
        return {};
      } else {
        return behaviour_->handle_cast(message, state, context);
      }
    });
  }

  template <class M>
  requires(HandlesInfo<B, M> && !waits<ToInfo, M>()) Outcome
      handle_info(const M& message, State& state, Context& context) {
    return in_transaction("handle_info", message, state, context, [&]() -> Outcome {
      if constexpr (std::is_void_v<decltype(behaviour_->handle_info(message, state, context))>) {
        behaviour_->handle_info(message, state, context);
        return {};
      } else {
        return behaviour_->handle_info(message, state, context);
      }
    });
  }

  // T is B: g++ 12 would look for its handle_locked although nothing calls it.
  template <class M, class T = B>
  requires(HandlesLocked<T, M>&& AwaitsLocked<T, M>) Task<LockedValue<T, M>> handle_locked(
      const M& message, State& state, LockedContext& context) {
    LockedContext watched = begin_locked(message, context);
    using Value = typename semper::internal::AwaitableValue<LockedReturn<B, M>>::type;
    if constexpr (std::is_void_v<Value>) {
      co_await behaviour_->handle_locked(message, state, watched);
      Outcome done;
      end_locked(message, done, state, context);
      co_return done;
    } else {
      Value value = co_await behaviour_->handle_locked(message, state, watched);
      end_locked(message, value, state, context);
      co_return value;
    }
  }

  template <class M, class T = B>
  requires(HandlesLocked<T, M> &&
           !AwaitsLocked<T, M>) LockedValue<T, M> handle_locked(const M& message, State& state,
                                                                LockedContext& context) {
    witness_->remark("handle_locked of " + std::string(type_name<B>()) + " for " +
                     std::string(short_type_name<M>()) +
                     " does not await: a crash comes before it or after it, not inside");
    LockedContext watched = begin_locked(message, context);
    if constexpr (std::is_void_v<LockedReturn<B, M>>) {
      behaviour_->handle_locked(message, state, watched);
      Outcome done;
      end_locked(message, done, state, context);
      return done;
    } else {
      LockedValue<B, M> value = behaviour_->handle_locked(message, state, watched);
      end_locked(message, value, state, context);
      return value;
    }
  }

  template <class T = B>
  requires HandlesDeadLetter<T> Outcome handle_dead_letter(const DeadLetterInfo& letter,
                                                           State& state, Context& context) {
    T& behaviour = *behaviour_;
    if constexpr (std::is_void_v<decltype(behaviour.handle_dead_letter(letter, state, context))>) {
      behaviour.handle_dead_letter(letter, state, context);
      return {};
    } else {
      return behaviour.handle_dead_letter(letter, state, context);
    }
  }

  void terminate(const State& state, const std::string& reason) {
    witness_->terminated(type_name<B>(), reason);
    if constexpr (requires { behaviour_->terminate(state, reason); }) {
      behaviour_->terminate(state, reason);
    }
  }

 private:
  template <class M, class Value>
  void tell_waited(std::string_view callback, const M& message, Value& value, const State& state,
                   Context& context) {
    watch_actions<M>(value, context.id());
    witness_->callback_begins(context.id(), callback, short_type_name<M>(), encode(message));
    witness_->callback_ended(context.id(), shown_reply(value), &state);
  }
  template <class M>
  void tell_thrown(std::string_view callback, const M& message, Context& context) {
    witness_->callback_begins(context.id(), callback, short_type_name<M>(), encode(message));
    witness_->callback_ended(context.id(), "throws", nullptr);
  }

  template <class T>
  static Task<Outcome> outcome_of(asio::awaitable<T> callback) {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(callback);
      co_return Outcome();
    } else if constexpr (std::is_same_v<T, Status>) {
      Status status = co_await std::move(callback);
      if (!status) co_return Outcome(tl::unexpected<Error>(status.error()));
      co_return Outcome();
    } else {
      co_return Outcome(co_await std::move(callback));
    }
  }

  template <class M, class Call>
  auto in_transaction(std::string_view callback, const M& message, State& state, Context& context,
                      Call call) -> decltype(call()) {
    const EntityId& id = context.id();
    witness_->callback_begins(id, callback, short_type_name<M>(), encode(message));
    try {
      auto outcome = call();
      watch_actions<M>(outcome, id);
      witness_->callback_ended(id, shown_reply(outcome), &state);
      return outcome;
    } catch (const std::exception& thrown) {
      witness_->callback_ended(id, std::string("throws: ") + semper::internal::text_of(thrown),
                               nullptr);
      throw;
    } catch (...) {
      witness_->callback_ended(id, "throws", nullptr);
      throw;
    }
  }

  template <class M>
  LockedContext begin_locked(const M& message, LockedContext& context) {
    witness_->locked_begins(context.id(), short_type_name<M>(), encode(message));
    return context.with_clock(witness_->locked_clock());
  }

  template <class M, class Value>
  void end_locked(const M&, Value& value, const State& state, LockedContext& context) {
    if constexpr (std::is_same_v<Value, Outcome>) {
      watch_actions<M>(value, context.id());
      witness_->locked_ended(context.id(), short_type_name<M>(), shown_reply(value), &state);
    } else if constexpr (requires { ReplyParts::control(value); }) {
      watch_actions<M>(value, context.id());
      witness_->locked_ended(context.id(), short_type_name<M>(), shown_reply(value), &state);
    } else {
      witness_->locked_ended(context.id(), short_type_name<M>(), "done", &state);
    }
  }

  template <class M, class Value>
  void watch_actions(Value& value, const EntityId& id) {
    for (auto& action : ReplyParts::control(value).actions) {
      if (action.state_type != typeid(State)) continue;
      action.run = [run = std::move(action.run), witness = witness_, id](const void* state) {
        witness->action_begins(id, short_type_name<M>(), encode(*static_cast<const State*>(state)));
        return run(state);
      };
    }
  }

  const std::shared_ptr<B> behaviour_;
  const std::shared_ptr<HarnessWitness> witness_;
};

}  // namespace semper::testing::internal
