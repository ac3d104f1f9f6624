// The callbacks of a type, made into the one that a host works with.
#pragma once

#include <array>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "semper/base/codec.h"
#include "semper/base/field_names.h"
#include "semper/base/type_name.h"
#include "semper/server/behaviour.h"
#include "semper/server/internal/behaviour.h"
#include "semper/server/internal/declared.h"
#include "semper/server/internal/message_checks.h"

namespace semper::internal {

template <class T>
Handled handled_from(Reply<T> reply) {
  Handled handled{std::move(ReplyParts::control(reply)), false, {}, std::nullopt};
  if (reply.value()) {
    handled.replied = true;
    if (*reply.value()) {
      handled.reply = encode(**reply.value());
    } else {
      handled.error = reply.value()->error();
    }
  }
  return handled;
}

inline Result<Handled> handled_from(Outcome outcome) {
  // Whatever its kind says to the callback: here it is a callback that failed, not a bad message.
  if (outcome.error()) return fail(ErrorKind::internal, outcome.error()->to_string());
  return Handled{std::move(ReplyParts::control(outcome)), false, {}, std::nullopt};
}

// Of a callback that waits: Async<void>.
inline Result<Handled> handled_from(Status status) {
  if (!status) return fail(ErrorKind::internal, status.error().to_string());
  return Handled{};
}

// Whether the message goes by this name, or did.
template <class M>
constexpr bool is_named(std::string_view name) {
  if (name == short_type_name<M>()) return true;
  if constexpr (HasFormerNames<M>) {
    for (const std::string_view former : M::kFormerNames) {
      if (name == former) return true;
    }
  }
  return false;
}

template <class A, class B>
constexpr bool share_a_name() {
  if (is_named<A>(short_type_name<B>())) return true;
  if constexpr (HasFormerNames<B>) {
    for (const std::string_view former : B::kFormerNames) {
      if (is_named<A>(former)) return true;
    }
  }
  return false;
}

// Whether no two of these messages have the same name, or had.
constexpr bool have_names_of_their_own(std::type_identity<std::tuple<>>) {
  return true;
}
template <class First, class... Rest>
constexpr bool have_names_of_their_own(std::type_identity<std::tuple<First, Rest...>>) {
  return (!share_a_name<First, Rest>() && ...) &&
         have_names_of_their_own(std::type_identity<std::tuple<Rest...>>());
}

template <class B>
constexpr LetterRules letter_rules_of() {
  LetterRules rules;
  if constexpr (requires { LetterRules(B::kLetterRules); }) {
    rules = B::kLetterRules;
  }
  if constexpr (requires { B::kMessageAttempts; }) {
    static_assert(B::kMessageAttempts >= 0, "kMessageAttempts: runs, or 0: for ever");
    rules.attempts = B::kMessageAttempts;
  }
  if constexpr (requires { B::kDeadLettersKept; }) {
    static_assert(B::kDeadLettersKept >= 1 && B::kDeadLettersKept <= kDeadLettersKeptMaximum,
                  "kDeadLettersKept: 1 to 1,000 letters of an entity");
    rules.kept = B::kDeadLettersKept;
  }
  if constexpr (requires { Duration(B::kDeadLettersKeptFor); }) {
    static_assert(B::kDeadLettersKeptFor > Duration::zero(), "kDeadLettersKeptFor: a duration");
    rules.kept_for = B::kDeadLettersKeptFor;
  }
  rules.has_callback = HandlesDeadLetter<B>;
  return rules;
}

template <class B>
constexpr ExpiryRules expiry_rules_of() {
  ExpiryRules rules;
  if constexpr (requires { Duration(B::kExpireAfter); }) {
    static_assert(B::kExpireAfter >= kExpireAfterMinimum, "kExpireAfter: at least a second");
    rules.after = B::kExpireAfter;
  }
  if constexpr (requires { static_cast<bool>(B::kExpireWithTimers); }) {
    rules.with_timers = B::kExpireWithTimers;
  }
  if constexpr (requires { static_cast<bool>(B::kExpireWithDeadLetters); }) {
    rules.with_dead_letters = B::kExpireWithDeadLetters;
  }
  rules.has_callback = HandlesExpiry<B>;
  return rules;
}

constexpr bool is_rate(const RateLimit& rate) {
  return rate.messages >= 1 && rate.messages <= kRateLimitMessagesMaximum &&
         rate.burst <= kRateLimitMessagesMaximum;
}
constexpr bool is_period(const RateLimit& rate) {
  return rate.per >= std::chrono::milliseconds(1) && rate.per <= kRateLimitPeriodMaximum;
}
constexpr RateLimit with_burst(RateLimit rate) {
  if (rate.burst == 0) rate.burst = rate.messages;
  return rate;
}
constexpr bool is_concurrency(int running) {
  return running >= 1 && running <= kConcurrencyLimitMaximum;
}

template <class B>
constexpr LimitRules limit_rules_of() {
  LimitRules rules;
  rules.by_key = HasLimitKey<B>;
  if constexpr (requires { RateLimit(B::kRateLimit); }) {
    static_assert(is_rate(B::kRateLimit),
                  "kRateLimit: 1 to kRateLimitMessagesMaximum messages, with a burst of that many");
    static_assert(is_period(B::kRateLimit), "kRateLimit: per a millisecond to a year");
    rules.rate = with_burst(B::kRateLimit);
  }
  if constexpr (requires { RateLimit(B::kTypeRateLimit); }) {
    static_assert(
        is_rate(B::kTypeRateLimit),
        "kTypeRateLimit: 1 to kRateLimitMessagesMaximum messages, with a burst of that many");
    static_assert(is_period(B::kTypeRateLimit), "kTypeRateLimit: per a millisecond to a year");
    rules.type_rate = with_burst(B::kTypeRateLimit);
  }
  if constexpr (requires { static_cast<int>(B::kConcurrencyLimit); }) {
    static_assert(is_concurrency(B::kConcurrencyLimit),
                  "kConcurrencyLimit: 1 to 1,000 handle_locked at a time");
    rules.running = B::kConcurrencyLimit;
  }
  if constexpr (requires { static_cast<int>(B::kTypeConcurrencyLimit); }) {
    static_assert(is_concurrency(B::kTypeConcurrencyLimit),
                  "kTypeConcurrencyLimit: 1 to 1,000 handle_locked at a time");
    rules.type_running = B::kTypeConcurrencyLimit;
  }
  if constexpr (requires { OverLimit(B::kOverLimit); }) {
    rules.over = B::kOverLimit;
  }
  return rules;
}

template <class B, class... M>
constexpr bool any_is_handled_locked(std::type_identity<std::tuple<M...>>) {
  return (HandlesLocked<B, M> || ...);
}

template <BehaviourType B>
class BehaviourOf final : public Behaviour {
 public:
  using State = typename B::State;
  using MessageTuple = typename B::Messages::Tuple;
  static_assert(
      have_names_of_their_own(std::type_identity<MessageTuple>()),
      "two messages of this behaviour have the same name (namespaces and enclosing classes "
      "do not count, kFormerNames do): give one of them a kName of its own");
  static constexpr std::int64_t kVersion = state_version_of<B>();
  static_assert(kVersion >= 1 && kVersion <= kStateVersionMaximum,
                "kStateVersion is a number from 1 to kStateVersionMaximum");
  static_assert(kVersion == 1 || UpgradesState<B>,
                "a behaviour whose kStateVersion is over 1 says how to come there: "
                "semper::Result<State> upgrade(int from, semper::BytesView old)");
  static_assert(kVersion > 1 || !UpgradesState<B>,
                "upgrade(int from, BytesView old) is never called: raise kStateVersion");
  static_assert(takes_all_messages<B>(std::type_identity<MessageTuple>()));
  static_assert(
      HandlesDeadLetter<B> || !requires { &B::handle_dead_letter; },
      "handle_dead_letter takes (const DeadLetterInfo&, State&, Context&)");
  static_assert(
      HandlesExpiry<B> || !requires { &B::handle_expiry; },
      "handle_expiry takes (State&, Context&)");
  static_assert(
      !HandlesExpiry<B> || requires { Duration(B::kExpireAfter); },
      "handle_expiry is never called: set kExpireAfter");
  static_assert(
      HasLimitKey<B> || !requires { &B::limit_key; },
      "limit_key takes (const EntityId&), is const or static, and returns a std::string");
  static_assert(!HasLimitKey<B> || limit_rules_of<B>().is_any(),
                "limit_key is never called: set kRateLimit or kConcurrencyLimit");
  static_assert(limit_rules_of<B>().by_key ||
                    !(limit_rules_of<B>().has_type_rate() || limit_rules_of<B>().has_type_places()),
                "kTypeRateLimit and kTypeConcurrencyLimit are shared by keys: give a limit_key, or "
                "set kRateLimit and kConcurrencyLimit, which are the type's without one");
  static_assert(
      HasLimitWeight<B> || !requires { &B::limit_weight; },
      "limit_weight takes (std::string_view), is const or static, and returns an int");
  static_assert(!HasLimitWeight<B> || limit_rules_of<B>().has_type_rate() ||
                    limit_rules_of<B>().has_type_places(),
                "limit_weight is never called: set kTypeRateLimit or kTypeConcurrencyLimit");
  static_assert(
      limit_rules_of<B>().is_any() || !requires { OverLimit(B::kOverLimit); },
      "kOverLimit is of a limit: set kRateLimit or kConcurrencyLimit");
  static_assert(!limit_rules_of<B>().has_places() ||
                    any_is_handled_locked<B>(std::type_identity<MessageTuple>()),
                "kConcurrencyLimit is of handle_locked, which this behaviour does not have");

  explicit BehaviourOf(std::shared_ptr<B> behaviour) : behaviour_(std::move(behaviour)) {}

  std::string type() const override { return std::string(type_name<B>()); }
  std::uint32_t state_version() const override { return static_cast<std::uint32_t>(kVersion); }

  std::vector<MessageInfo> messages() const override {
    std::vector<MessageInfo> infos;
    for_each_message([&]<class M>() {
      MessageInfo& info = infos.emplace_back();
      info.name = short_type_name<M>();
      info.call = HandlesCall<B, M>;
      info.cast = HandlesCast<B, M>;
      info.info = HandlesInfo<B, M>;
      info.locked = HandlesLocked<B, M>;
      if constexpr (HasFormerNames<M>) {
        info.former_names.assign(std::begin(M::kFormerNames), std::end(M::kFormerNames));
      }
      if constexpr (internal::codec::IsByPosition<M>) info.fields = field_names<M>();
      if (info.fields && info.fields->size() != field_count_of<M>()) info.fields.reset();
      info.example = example_of<M>();
      return false;
    });
    return infos;
  }

  bool has_waiting_callbacks() const override {
    return for_each_message([]<class M>() { return any_callback_waits<B, M>(); });
  }

  Result<std::shared_ptr<void>> init(const EntityId& id) override {
    try {
      Result<State> state = behaviour_->init(id);
      if (!state) return fail(state.error().in("init of " + id.to_string()));
      return std::shared_ptr<void>(std::make_shared<State>(std::move(*state)));
    } catch (...) {
      return fail(exception_error("init of " + id.to_string(), std::current_exception()));
    }
  }

  Result<std::shared_ptr<void>> decode_state(BytesView bytes) const override {
    try {
      auto state = read_state(bytes);
      if (!state) return fail(state.error());
      return std::shared_ptr<void>(std::make_shared<State>(std::move(*state)));
    } catch (...) {
      return fail(codec_error("decoding the state", std::current_exception()));
    }
  }

  Result<std::shared_ptr<void>> upgrade_state(const EntityId& id, std::uint32_t from,
                                              BytesView bytes) override {
    if constexpr (UpgradesState<B>) {
      try {
        Result<State> state = behaviour_->upgrade(static_cast<int>(from), bytes);
        if (!state) return fail(upgrade_error(state.error(), id, from, state_version()));
        return std::shared_ptr<void>(std::make_shared<State>(std::move(*state)));
      } catch (...) {
        return fail(upgrade_error(exception_error("upgrade", std::current_exception()), id, from,
                                  state_version()));
      }
    } else {
      return fail(newer_state_error(id, from, state_version()));  // nothing is older than 1
    }
  }

  bool takes(std::string_view message, Event event) const override {
    bool takes_it = message == kExpiryMessage && event == Event::cast;
    for_each_message([&]<class M>() {
      if (!is_named<M>(message)) return false;
      takes_it = (event == Event::call && HandlesCall<B, M>) ||
                 (event == Event::cast && HandlesCast<B, M>) ||
                 (event == Event::info && HandlesInfo<B, M>);
      return true;
    });
    return takes_it;
  }
  bool takes_locked(std::string_view message) const override {
    bool takes_it = false;
    for_each_message([&]<class M>() {
      if (!is_named<M>(message)) return false;
      takes_it = HandlesLocked<B, M>;
      return true;
    });
    return takes_it;
  }

  Status encode_state(const void* state, Bytes& out) const override {
    try {
      Codec<State>::encode(*static_cast<const State*>(state), out);
      return {};
    } catch (...) {
      return fail(codec_error("encoding the state", std::current_exception()));
    }
  }

  Result<Handled> handle(std::string_view message, BytesView payload, void* state,
                         Context& context) override {
    std::optional<Result<Handled>> result;
    const bool known = for_each_message([&]<class M>() {
      if (!is_named<M>(message)) return false;
      result.emplace(handle_as<M>(payload, *static_cast<State*>(state), context));
      return true;
    });
    if (!known) return fail(unknown_message_error(type_name<B>(), message, messages()));
    if (!fit_actions<State>(*result)) return fail(unfit_action_error());
    return std::move(*result);
  }

  Async<Handled> handle_locked(std::string_view message, BytesView payload, void* state,
                               LockedContext& context) override {
    return handle_locked_from<0>(message, payload, *static_cast<State*>(state), context);
  }

  LetterRules letter_rules() const override { return letter_rules_of<B>(); }

  Result<Handled> handle_dead_letter(const DeadLetterInfo& letter, void* state,
                                     Context& context) override {
    if constexpr (HandlesDeadLetter<B>) {
      try {
        return with_fitting_actions<State>(without_reply([&] {
          return behaviour_->handle_dead_letter(letter, *static_cast<State*>(state), context);
        }));
      } catch (...) {
        return fail(exception_error("handle_dead_letter", std::current_exception()));
      }
    }
    return Behaviour::handle_dead_letter(letter, state, context);
  }

  ExpiryRules expiry_rules() const override { return expiry_rules_of<B>(); }

  Result<Handled> handle_expiry(void* state, Context& context) override {
    if constexpr (HandlesExpiry<B>) {
      try {
        return with_fitting_actions<State>(without_reply(
            [&] { return behaviour_->handle_expiry(*static_cast<State*>(state), context); }));
      } catch (...) {
        return fail(exception_error("handle_expiry", std::current_exception()));
      }
    }
    return Behaviour::handle_expiry(state, context);
  }

  LimitRules limit_rules() const override { return limit_rules_of<B>(); }

  std::string limit_key([[maybe_unused]] const EntityId& id) const override {
    if constexpr (HasLimitKey<B>) {
      return static_cast<const B&>(*behaviour_).limit_key(id);
    } else {
      return {};
    }
  }
  int limit_weight([[maybe_unused]] const std::string& key) const override {
    if constexpr (HasLimitWeight<B>) {
      return static_cast<const B&>(*behaviour_).limit_weight(key);
    } else {
      return 1;
    }
  }

  void terminate(const void* state, const std::string& reason) override {
    if constexpr (requires(const State& s) { behaviour_->terminate(s, reason); }) {
      behaviour_->terminate(*static_cast<const State*>(state), reason);
    }
  }

 private:
  template <class M>
  static constexpr std::size_t field_count_of() {
    if constexpr (internal::codec::IsByPosition<M>) {
      return field_count<M>;
    } else {
      return 0;
    }
  }

  template <class M>
  static Bytes example_of() {
    if constexpr (std::default_initializable<M>) {
      try {
        Bytes example = encode(M{});
        return example.size() <= kExampleBytes ? example : Bytes();
      } catch (...) {
        return {};  // a constructor or a codec of the user's does not like it
      }
    }
    return {};
  }

  // Calls `visit.template operator()<M>()` until one returns true.
  template <class Visit>
  static bool for_each_message(Visit visit) {
    return [&]<class... M>(std::type_identity<std::tuple<M...>>) {
      return (visit.template operator()<M>() || ...);
    }(std::type_identity<MessageTuple>());
  }

  // A state with fields that this program does not know is another program's: writing it again
  // would lose them.
  static Result<State> read_state(BytesView bytes) {
    if constexpr (internal::codec::HasOwnCodec<State> || DropsUnknownFields<B>) {
      return decode<State>(bytes);
    } else {
      const DecodeOptions strict{.strict = true};
      auto state = decode<State>(bytes, strict);
      if (state) return state;
      auto known_part = decode<State>(bytes);
      if (!known_part) return known_part;
      return fail(unknown_fields_error(type_name<B>(), state.error()));
    }
  }

  template <class M>
  Result<Handled> handle_as(BytesView payload, State& state, Context& context) {
    try {
      auto message = decode<M>(payload);
      if (!message) {
        return fail(Error(ErrorKind::invalid_argument, message.error().message())
                        .in("message " + std::string(short_type_name<M>())));
      }
      switch (context.event()) {
        case Event::call:
          if constexpr (callback_waits<ToCall, B, M>()) {
            return begun(finish_call(std::move(*message), state, context));
          } else if constexpr (HandlesCall<B, M>) {
            return handled_from(
                Reply<typename M::Reply>(behaviour_->handle_call(*message, state, context)));
          }
          return fail(no_callback_error(type_name<B>(), short_type_name<M>(), "handle_call"));
        case Event::cast:
          if constexpr (callback_waits<ToCast, B, M>()) {
            return begun(finish_event(std::move(*message), state, context));
          } else if constexpr (HandlesCast<B, M>) {
            return without_reply([&] { return behaviour_->handle_cast(*message, state, context); });
          }
          return fail(no_callback_error(type_name<B>(), short_type_name<M>(), "handle_cast"));
        case Event::info:
          if constexpr (callback_waits<ToInfo, B, M>()) {
            return begun(finish_event(std::move(*message), state, context));
          } else if constexpr (HandlesInfo<B, M>) {
            return without_reply([&] { return behaviour_->handle_info(*message, state, context); });
          }
          return fail(no_callback_error(type_name<B>(), short_type_name<M>(), "handle_info"));
      }
    } catch (...) {
      return fail(exception_error(short_type_name<M>(), std::current_exception()));
    }
    return fail(ErrorKind::internal, "an event of no known kind");
  }

  static Handled begun(Async<Handled> rest) {
    Handled handled;
    handled.rest.emplace(std::move(rest));
    return handled;
  }

  template <class M>
  Async<Handled> finish_call(M message, State& state, Context context) {
    try {
      auto value = co_await behaviour_->handle_call(message, state, context);
      Reply<typename M::Reply> reply(std::move(value));
      co_return with_fitting_actions<State>(handled_from(std::move(reply)));
    } catch (...) {
      co_return fail(exception_error(short_type_name<M>(), std::current_exception()));
    }
  }

  // A cast or an info.
  template <class M>
  Async<Handled> finish_event(M message, State& state, Context context) {
    try {
      if (context.event() == Event::cast) {
        if constexpr (callback_waits<ToCast, B, M>()) {
          co_return co_await finished(behaviour_->handle_cast(message, state, context));
        }
      } else {
        if constexpr (callback_waits<ToInfo, B, M>()) {
          co_return co_await finished(behaviour_->handle_info(message, state, context));
        }
      }
    } catch (...) {
      co_return fail(exception_error(short_type_name<M>(), std::current_exception()));
    }
    co_return fail(ErrorKind::internal, "an event of no known kind");
  }

  template <class T>
  static Async<Handled> finished(asio::awaitable<T> callback) {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(callback);
      co_return Handled{};
    } else if constexpr (std::is_same_v<T, Status>) {
      auto status = co_await std::move(callback);
      co_return handled_from(std::move(status));
    } else {
      Outcome outcome(co_await std::move(callback));
      co_return with_fitting_actions<State>(handled_from(std::move(outcome)));
    }
  }

  template <class F>
  static Result<Handled> without_reply(F callback) {
    if constexpr (std::is_void_v<decltype(callback())>) {
      callback();
      return Handled{};
    } else {
      return handled_from(Outcome(callback()));
    }
  }

  template <std::size_t I>
  Async<Handled> handle_locked_from(std::string_view message, BytesView payload, State& state,
                                    LockedContext& context) {
    if constexpr (I == std::tuple_size_v<MessageTuple>) {
      co_return fail(unknown_message_error(type_name<B>(), message, messages()));
    } else {
      using M = std::tuple_element_t<I, MessageTuple>;
      if (!is_named<M>(message)) {
        co_return co_await handle_locked_from<I + 1>(message, payload, state, context);
      }
      auto handled = co_await handle_locked_as<M>(payload, state, context);
      co_return with_fitting_actions<State>(std::move(handled));
    }
  }

  // A Reply, Outcome or Status; or what makes the message's Reply: a value, or an error.
  template <class M, class V>
  static Result<Handled> locked_result(V value) {
    if constexpr (requires { handled_from(std::move(value)); }) {
      return handled_from(std::move(value));
    } else {
      return handled_from(Reply<typename M::Reply>(std::move(value)));
    }
  }

  template <class M>
  Async<Handled> handle_locked_as(BytesView payload, State& state, LockedContext& context) {
    if constexpr (!HandlesLocked<B, M>) {
      co_return fail(no_callback_error(type_name<B>(), short_type_name<M>(), "handle_locked"));
    } else {
      using Returned =
          decltype(behaviour_->handle_locked(std::declval<const M&>(), state, context));
      using Value = typename AwaitableValue<Returned>::type;
      try {
        auto message = decode<M>(payload);
        if (!message) co_return fail(Error(ErrorKind::invalid_argument, message.error().message()));
        if constexpr (AwaitableValue<Returned>::is_awaitable) {
          if constexpr (std::is_void_v<Value>) {
            co_await behaviour_->handle_locked(*message, state, context);
            co_return Handled{};
          } else {
            auto value = co_await behaviour_->handle_locked(*message, state, context);
            co_return locked_result<M>(std::move(value));
          }
        } else if constexpr (std::is_void_v<Value>) {
          behaviour_->handle_locked(*message, state, context);
          co_return Handled{};
        } else {
          co_return locked_result<M>(behaviour_->handle_locked(*message, state, context));
        }
      } catch (...) {
        co_return fail(exception_error(short_type_name<M>(), std::current_exception()));
      }
    }
  }

  std::shared_ptr<B> behaviour_;
};

}  // namespace semper::internal
