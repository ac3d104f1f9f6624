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
//   handle_dead_letter(const DeadLetterInfo&, State&, Context&)   void or Outcome: a message of this
//                                                    entity was set aside (dead_letter_info.h)
//   terminate(const State&, const std::string&)      after stop(reason), when it has committed
//
// All callbacks named handle_..., except handle_dead_letter, may wait: they then return an
// asio::awaitable of the type above (Task; or Async<M::Reply>, Async<void>). handle_locked may wait
// for as long as it takes, outside any transaction. The others wait inside their transaction, for
// reads of ctx.transaction() and of other entities (Context::state_of) or for an asynchronous
// library, and meanwhile the entity does nothing else. They run on the executor that runs the
// entity, for at most four fifths of Limits::transaction_duration. Then they are cancelled, and the
// message has failed.
//
// A message that fails (a callback, init or a codec throws, a cast or info returns an error, or the
// result cannot be written) runs again, alone. An error that a call replies is its answer. If it keeps failing, it is set aside (dead letters), and its caller
// gets the error, marked dead_letter(attempts) (dead_letters.h). State and messages need a Codec
// (base/codec.h). A type may set its own limits as static constexpr members:
//
//   int kMessageAttempts      runs before a message is set aside, instead of
//                             HostOptions::message_attempts; 0: never: it is retried forever, and
//                             the queue waits. A message that no run can handle (a name or content
//                             that no callback takes, or more than the store accepts) is set aside
//                             anyway.
//   int kDeadLettersKept      letters of one entity, 1 to 1,000: beyond it, the oldest are removed
//                             when a new one is added. Not set: all stay.
//   kDeadLettersKeptFor       a std::chrono duration: older letters are removed then. Not set: they
//                             stay.
//
// If a state changes its form, give it a version and a way to upgrade from older ones:
//
//   static constexpr int kStateVersion = 2;             // without it: 1, and so are states of before
//   struct Version1 { std::int64_t cents = 0; };
//   Result<State> upgrade(int from, BytesView old) {    // from: 1 to kStateVersion - 1
//     SEMPER_TRY(const auto v1, decode<Version1>(old)); // old: what the codec of that version wrote
//     return State{v1.cents, "EUR"};
//   }
//
// upgrade runs in the first transaction that needs the state, possibly more than once, and takes
// effect with it. If it fails or throws, that is a failed attempt of the message, as with init.
// Raise the version when an older program must not touch states that this one writes. If you only
// add a field, you need not raise it.
//
// A host leaves alone entities that need more than its program knows: a state of a higher version,
// or with fields that its State lacks, or a first message that it has no callback for. It neither
// decodes nor writes them; their messages wait for a newer host (an unknown message waits for at
// most HostOptions::unknown_message_wait, and the messages behind it wait in order). In this
// process, calls to them get `unsupported`, and casts are queued. Set kDropsUnknownFields = true to
// remove a field on purpose. A State with its own Codec handles unknown fields itself.
//
// Names: the name of the type is type_name<B>(), that of a message short_type_name<M>(). Set kName
// to keep a name when you rename a C++ type. Or list the former names in the message, so that
// messages queued under them are found: static constexpr std::array<std::string_view, 1>
// kFormerNames = {"Put"};
// Two messages of one behaviour need different names (otherwise a compile error), and so do two
// behaviours of one process (otherwise Host::serve throws).
// The compiler refuses, with a readable message, a listed message that no callback handles, a
// message with a Reply but no handle_call, and callbacks of these names with other arguments or
// results.
// Threads: one callback of an entity at a time; callbacks of different entities run concurrently,
// on the same behaviour object. Source of the idea: Erlang's gen_server, dgen's dgen_server.
#pragma once

#include <concepts>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <tuple>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/server/context.h"
#include "semper/server/dead_letter_info.h"
#include "semper/server/internal/callback_result.h"
#include "semper/server/message.h"
#include "semper/server/reply.h"

namespace semper {

// The highest kStateVersion: more than anybody needs.
inline constexpr std::int64_t kStateVersionMaximum = 1'000'000'000;

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
concept BehaviourType = requires(B& b, const EntityId& id) {
  typename B::State;
  typename B::Messages::Tuple;
  { b.init(id) } -> std::convertible_to<Result<typename B::State>>;
};

// A behaviour with `static constexpr bool kDropsUnknownFields = true`.
template <class B>
concept DropsUnknownFields = requires {
  requires static_cast<bool>(B::kDropsUnknownFields);
};

// A behaviour with `static constexpr int kStateVersion`, and one with `upgrade`.
template <class B>
concept HasStateVersion = requires {
  static_cast<std::int64_t>(B::kStateVersion);
};
template <class B>
concept UpgradesState = requires(B& b, int from, BytesView old) {
  { b.upgrade(from, old) } -> std::convertible_to<Result<typename B::State>>;
};
template <class B>
constexpr std::int64_t state_version_of() {
  if constexpr (HasStateVersion<B>) {
    return B::kStateVersion;
  } else {
    return 1;
  }
}

// A message that lists its former names: `static constexpr` kFormerNames.
template <class M>
concept HasFormerNames = requires {
  std::string_view(*std::begin(M::kFormerNames));
};

}  // namespace semper
