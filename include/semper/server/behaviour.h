// Behaviour: the callbacks that make a type a durable server.
//
// What for: state and messages that outlive the processes that handle them; docs/guide-servers.md.
// When not: work without a state (ring/journal.h), or state that may end with its process.
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
// Callbacks, all optional but init, found by the types of their arguments:
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
// All of these called handle_..., but handle_dead_letter, may wait: they return an asio::awaitable of
// what is said above (Task; or Async<M::Reply>, Async<void>). handle_locked may wait for as long as it
// takes, outside any transaction. The others wait inside theirs, for reads of ctx.transaction() and of other entities
// (Context::state_of) or for an asynchronous library, and nothing else of the entity goes on
// meanwhile. They have four fifths of Limits::transaction_duration, on the executor of whoever runs
// them; then they are cancelled, and the message has failed.
//
// A message that fails (a callback, init or a codec throws or refuses, or its result cannot be
// written) runs again, alone. One that keeps failing is set aside (dead letters), and its caller
// gets the error, marked dead_letter(attempts) (dead_letters.h). State and messages need a Codec
// (base/codec.h). What a type may say of its own, each a static constexpr member:
//
//   int kMessageAttempts      runs before a message is set aside, instead of
//                             HostOptions::message_attempts; 0: never, it is tried for ever and the
//                             queue waits. What no run can make good (a name or content that no
//                             callback takes, more than the store takes) is set aside all the same.
//   int kDeadLettersKept      letters of one entity, 1 to 1,000: past it the oldest go when another
//                             one comes. Not set: all stay.
//   kDeadLettersKeptFor       a duration of std::chrono: those that are older go then. Not set: they stay.
//
// States that change in form: a version, and how to come from an older one to it:
//
//   static constexpr int kStateVersion = 2;             // without it: 1, and so are states of before
//   struct Version1 { std::int64_t cents = 0; };
//   Result<State> upgrade(int from, BytesView old) {    // from: 1 to kStateVersion - 1
//     SEMPER_TRY(const auto v1, decode<Version1>(old)); // old: what the codec of that version wrote
//     return State{v1.cents, "EUR"};
//   }
//
// upgrade runs within the first transaction that needs the state, possibly more than once, and takes
// effect with it; one that fails or throws is a failed attempt of the message, as with init. Raise the
// version when an older program must not touch what this one writes; for a field that is only added,
// none is needed.
// Entities that need more than a program knows (a state of a higher version, or with fields that its
// State lacks; a first message that it has no callback for) are left alone by its host, undecoded and
// unwritten: their messages wait for a host that knows more (such a message at most
// HostOptions::unknown_message_wait). In this process calls to them get `unsupported`, casts are
// queued; what waits behind an unknown message waits in order. Set kDropsUnknownFields = true to
// remove a field on purpose. A State with a Codec of its own decides for itself about fields.
//
// Names: the type's is type_name<B>(), a message's short_type_name<M>(). Set kName to keep them
// when a C++ type is renamed, or say in a message by which names it went before, so that what is
// queued under them is found: static constexpr std::array<std::string_view, 1> kFormerNames = {"Put"};
// Two messages of one behaviour need two names (else a compile error),
// and so do two behaviours of one process (else Host::serve throws).
// The compiler refuses, in words, a listed message that no callback takes, one with a Reply and no
// handle_call, and callbacks of these names that take or return something else.
// Threads: one callback of one entity at a time; callbacks of different entities run at once, on
// the same behaviour object. Source of the idea: Erlang's gen_server, dgen's dgen_server.
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

// The highest kStateVersion: more releases than anybody makes.
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

// A behaviour with a `static constexpr int kStateVersion`, and one with `upgrade`.
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

// A message with `static constexpr` names that it went by before: kFormerNames.
template <class M>
concept HasFormerNames = requires {
  std::string_view(*std::begin(M::kFormerNames));
};

}  // namespace semper
