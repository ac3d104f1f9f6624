// Behaviour: the callbacks that turn a type into a durable server.
//
// What for: state and messages that outlive the processes that handle them; docs/guide-servers.md.
// When not: work without state (ring/journal.h), or state that may be lost with its process.
//
//   struct Counter {
//     using State = std::int64_t;
//     struct Add { std::int64_t by = 1; using Reply = std::int64_t; };
//     using Messages = semper::Messages<Add>;
//     semper::Result<State> init(const semper::EntityId&) { return 0; }
//     semper::Reply<std::int64_t> handle_call(const Add& m, State& s, semper::Context&) {
//       return s += m.by;
//     }
//     void handle_cast(const Add& m, State& s, semper::Context&) { s += m.by; }
//   };
//
// Callbacks are found by the types of their arguments. All but init are optional:
//
//   init(const EntityId&)                            Result<State>: before the first message
//   handle_call(const M&, State&, Context&)          Reply<M::Reply>
//   handle_cast(const M&, State&, Context&)          void or Outcome
//   handle_info(const M&, State&, Context&)          void or Outcome
//   handle_locked(const M&, State&, LockedContext&)  after lock(): Reply<M::Reply>, Outcome or void
//   handle_dead_letter(const DeadLetterInfo&, State&, Context&)   void or Outcome: a message of
//                                                    this entity was set aside (dead_letter_info.h)
//   limit_key(const EntityId&)                       std::string: the entities that share its
//                                                    limits (kRateLimit, kConcurrencyLimit). It is
//                                                    const or static, and always says the same
//   limit_weight(std::string_view)                   int: the share of that limit key in the type's
//                                                    limits (kTypeRateLimit), 1 to
//                                                    kLimitWeightMaximum. As limit_key
//   handle_expiry(State&, Context&)                  void or Outcome: nobody sent this entity
//                                                    anything for kExpireAfter, and it is removed
//                                                    with this commit
//   terminate(const State&, const std::string&)      after stop(reason), when it has committed
//
// All callbacks named handle_..., except handle_dead_letter and handle_expiry, may wait: they then
// return an asio::awaitable of the type above (Task; or Async<M::Reply>, Async<void>).
// handle_locked may wait for as long as it takes, outside any transaction. The others wait inside
// their transaction, for reads of ctx.transaction() and of other entities (Context::state_of) or
// for an asynchronous library, and meanwhile the entity does nothing else. They run on the executor
// that runs the entity, for at most four fifths of Limits::transaction_duration. Then they are
// cancelled, and the message has failed.
//
// A callback takes time and chance from its Context (now(), random()), not from the system: then
// every run of it within a transaction sees the same time, and a simulation repeats it from a seed.
//
// A message that fails (a callback, init or a codec throws, a cast or info returns an error, or the
// result cannot be written) runs again, alone. An error that a call replies is its answer. If it
// keeps failing, it is set aside (dead letters), and its caller gets the error, marked
// dead_letter(attempts) (dead_letters.h). State and messages need a Codec (base/codec.h).
//
// Static constexpr members of the type; all are optional:
//
//   int kMessageAttempts      runs before a message is set aside, instead of
//                             HostOptions::message_attempts; 0: it is retried forever, and the
//                             queue waits. A message that no run can handle (a name or content
//                             that no callback takes, or more than the store accepts) is set aside
//                             anyway.
//   int kDeadLettersKept      letters of one entity, 1 to 1,000: beyond it, the oldest are removed
//                             when a new one is added. Not set: all stay.
//   kDeadLettersKeptFor       a std::chrono duration: older letters are removed then. Not set: they
//                             stay.
//   kExpireAfter              a std::chrono duration, kExpireAfterMinimum or longer: an entity that
//                             nobody sent a message for this long is removed, once, as by kill; its
//                             next message begins with init. Not set: entities stay. A message
//                             postpones it, a timer's tick does not. It happens up to a sixteenth
//                             of that time later; never while messages, a lock or idempotency keys
//                             are there, nor, unless the next two say so,
//   bool kExpireWithTimers    while timers are pending,
//   bool kExpireWithDeadLetters  or dead letters are kept. An entity whose handle_expiry fails
//                             stays, and is asked again after kExpireAfter.
//   RateLimit kRateLimit      so many messages in a time (rate_limit.h), of all entities of the
//                             type together, or, with limit_key, of those of one key; and
//   int kConcurrencyLimit     so many handle_locked at a time, 1 to 1,000, counted likewise. Both
//                             hold for all hosts of the store. What is over them waits: at the head
//                             of its queue, as no attempt, and in nobody's way but its entity's.
//                             Priority messages and infos are not limited. A type with kRateLimit
//                             has no inline calls: all of its messages go through the queue.
//   RateLimit kTypeRateLimit, int kTypeConcurrencyLimit   with limit_key: the same for the whole
//                             type, in addition to those of each key, or instead. The keys share
//                             them by their limit_weight (1 each), and none waits for another that
//                             has more to do.
//   OverLimit kOverLimit      OverLimit::refuse: what is over a limit does not wait (rate_limit.h)
//   int kStateVersion         with upgrade(int from, BytesView old): states of another form, and
//   bool kDropsUnknownFields  programs of two releases on one store. Both: docs/guide-servers.md,
//                             "State, and how it changes over the years".
//   std::string_view kName    keeps a name (type_name<B>()) when the C++ type is renamed; a message
//                             lists its former names as kFormerNames.
//
// The compiler refuses, with a readable message, a listed message that no callback handles, a
// message with a Reply but no handle_call, two messages of one name, and callbacks of these names
// with other arguments or results. Two behaviours of one name in one process: Host::serve throws.
// Threads: one callback of an entity at a time; callbacks of different entities run concurrently,
// on the same behaviour object. Source of the idea: Erlang's gen_server, dgen's dgen_server.
#pragma once

#include <chrono>
#include <concepts>
#include <string>
#include <string_view>
#include <tuple>

#include "semper/base/result.h"
#include "semper/base/time.h"
#include "semper/server/context.h"
#include "semper/server/dead_letter_info.h"
#include "semper/server/internal/callback_result.h"
#include "semper/server/message.h"
#include "semper/server/rate_limit.h"
#include "semper/server/reply.h"

namespace semper {

inline constexpr Duration kExpireAfterMinimum = std::chrono::seconds(1);

template <class... M>
struct Messages {
  using Tuple = std::tuple<M...>;
};

template <class B, class M>
concept HandlesCall = requires(B& b, const M& m, typename B::State& s, Context& c) {
  typename M::Reply;
  requires internal::IsReply<typename M::Reply, decltype(b.handle_call(m, s, c))>;
};
template <class B, class M>
concept HandlesCast = requires(B& b, const M& m, typename B::State& s, Context& c) {
  b.handle_cast(m, s, c);
};
template <class B, class M>
concept HandlesInfo = requires(B& b, const M& m, typename B::State& s, Context& c) {
  b.handle_info(m, s, c);
};
template <class B, class M>
concept HandlesLocked = requires(B& b, const M& m, typename B::State& s, LockedContext& c) {
  b.handle_locked(m, s, c);
};

template <class B>
concept HandlesDeadLetter = requires(B& b, const DeadLetterInfo& l, typename B::State& s,
                                     Context& c) {
  b.handle_dead_letter(l, s, c);
};

template <class B>
concept HandlesExpiry = requires(B& b, typename B::State& s, Context& c) {
  b.handle_expiry(s, c);
};

template <class B>
concept HasLimitKey = requires(const B& b, const EntityId& id) {
  { b.limit_key(id) } -> std::convertible_to<std::string>;
};

template <class B>
concept HasLimitWeight = requires(const B& b, std::string_view key) {
  { b.limit_weight(key) } -> std::convertible_to<int>;
};

template <class B>
concept BehaviourType = requires(B& b, const EntityId& id) {
  typename B::State;
  typename B::Messages::Tuple;
  { b.init(id) } -> std::convertible_to<Result<typename B::State>>;
};

// A message M that behaviour B handles, as in `template <CallOf<B> M>`.
template <class M, class B>
concept CallOf = HandlesCall<B, M>;
template <class M, class B>
concept CastOf = HandlesCast<B, M>;
template <class M, class B>
concept InfoOf = HandlesInfo<B, M>;

}  // namespace semper
