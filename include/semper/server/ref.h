// Ref<B>: sends messages to one durable server, from any process.
//
// What for: calling and casting to an entity, and killing or resetting it. When not: in a callback
// (use Context::cast, which commits with it), for casts that must not repeat after an unknown
// outcome (cast_once.h), without the C++ types (raw_ref.h), and for inspecting entities
// (inspect.h).
//
//   auto hits = semper::ref<Counter>(store, "page/home");
//   semper::Result<std::int64_t> n = co_await hits.call<Counter::Add>(2);
//   SEMPER_CO_TRY_STATUS(co_await hits.cast<Counter::Add>(2));
//   auto batch = semper::Batch<Counter>().add<Counter::Add>(1).add<Counter::Add>(2);
//   SEMPER_CO_TRY_STATUS(co_await hits.cast(std::move(batch)));
//   const Counter::Add three{3};                                  // or a message that has a name
//   SEMPER_CO_TRY_STATUS(co_await hits.cast(three));
//
// Never build a message with braces inside the co_await: g++ 12 destroys its members twice. The
// forms above, which take the parts of the message, are safe with every compiler.
//
// What is durable when:
//   cast, batch   success: the message is on stable storage (or already processed) and takes effect
//                 exactly once, in commit order; a batch as a whole. outcome_unknown: it may. Any
//                 other error: it will not. If it never returns: all of it or nothing.
//   cast_in       nothing by itself: it is part of the transaction that it is given
//   call          success: the message's effect and the reply are committed. timeout: the message
//                 may still be processed later, as with gen_server; its reply keys are cleared. An
//                 error that the callback returned comes back unchanged.
//   cast_after, cast_at   success: the message is on stable storage, and enters the entity's queue
//                 once, when it is due (server/timer.h). Otherwise as cast.
//   priority_*, info   not durable until they return; on success their effect is.
//   kill, reset, unlock   success: done, durably. If it never returns, or fails after it took
//                 effect (the message says so): done or not; hosts remove what is left.
// A call or cast with a key may be sent again after any of these (idempotency_key.h).
//
// In a process whose Host serves the type, an entity with an empty queue and no lock runs a call or
// cast in one transaction, without the queue. The callback then runs on the calling thread before
// cast returns. Everywhere else messages go through the durable queue, and the hosts that serve the
// type process them. Messages from many callers to one store are batched while a commit is running.
//
// Errors of all, in addition to those above, and the next move:
//   invalid_argument  the id, or a message over the store's value limit: send another
//   retry             the queue, or what this process has to send, is full: slow down, send later
//   exhausted         more than one transaction takes, or a bound of the entity: send less
//   unsupported       only a newer program can serve it, or the message is unknown: update this
//                     one; or a call of a callback would wait for itself: cast instead
//                     (call_options.h, "Chains of calls")
//   corrupt           the entity is parked: docs/operations.md, "Parked entities"
//   internal          a callback failed; after the queue, the message is a dead letter: see there
//   conflict          of priority calls: others kept changing the entity: call again
//   cancelled         the calling coroutine was, before the message was handed over
//   closed, io        the store was closed, or has failed for good: open it again
//
// Threads: any; a Ref is a cheap value.
// Source of the idea: dgen_server:call/cast/cast_k/priority_call/kill.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "semper/env/asio.h"
#include "semper/server/behaviour.h"
#include "semper/server/call_options.h"
#include "semper/server/entity_id.h"
#include "semper/server/idempotency_key.h"
#include "semper/server/internal/message_parts.h"
#include "semper/server/internal/refused_messages.h"
#include "semper/server/message.h"
#include "semper/server/message_batch.h"
#include "semper/server/raw_ref.h"

namespace semper {

template <class B>
class Ref : private internal::RefusedMessages<B> {
 public:
  Ref(Tenant tenant, std::string id);

  // Each operation takes a message, or makes one of its parts: call<M>(parts...).

  // Sends the message and waits for its reply.
  template <CallOf<B> M>
  Async<typename M::Reply> call(M message, CallOptions options = {}) const;
  template <CallOf<B> M, class... Parts>
  Async<typename M::Reply> call(Parts&&... parts) const requires internal::PartsOf<M, Parts...>;
  template <CallOf<B> M, class... Parts>
  Async<typename M::Reply> call(CallOptions options,
                                Parts&&... parts) const requires internal::PartsOf<M, Parts...>;

  // Sends the message, and returns when it is on stable storage or processed.
  template <CastOf<B> M>
  Async<void> cast(M message) const;
  template <CastOf<B> M>
  Async<void> cast(M message, CastOptions options) const;
  template <CastOf<B> M, class... Parts>
  Async<void> cast(Parts&&... parts) const requires internal::PartsOf<M, Parts...>;
  template <CastOf<B> M, class... Parts>
  Async<void> cast(CastOptions options,
                   Parts&&... parts) const requires internal::PartsOf<M, Parts...>;
  Async<void> cast(Batch<B> batch) const;

  // What became of the call or cast of an M that any process sent with this key. Sends nothing. One
  // read. If the message was sent as a call, the reply is the call's; otherwise it has no value.
  //   auto known = co_await account.result_of<Account::Transfer>(request.id);
  template <CallOf<B> M>
  Async<KeyedReply<typename M::Reply>> result_of(std::string_view key) const;
  template <CastOf<B> M>
  Async<KeyedReply<void>> result_of(std::string_view key) const requires(!CallOf<M, B>);

  // A cast that any host of the type sends when it is due. It is an unnamed timer of the entity
  // (list_timers.h shows and cancels it). With a key, a repeat does nothing, whatever its time;
  // cancelling the timer forgets the key. Errors in addition to those of cast: exhausted (the
  // entity already has kTimersPerEntity timers).
  template <CastOf<B> M>
  Async<void> cast_after(Duration delay, M message) const;
  template <CastOf<B> M>
  Async<void> cast_after(Duration delay, M message, CastOptions options) const;
  template <CastOf<B> M, class... Parts>
  Async<void> cast_after(Duration delay,
                         Parts&&... parts) const requires internal::PartsOf<M, Parts...>;
  template <CastOf<B> M, class... Parts>
  Async<void> cast_after(Duration delay, CastOptions options,
                         Parts&&... parts) const requires internal::PartsOf<M, Parts...>;
  template <CastOf<B> M>
  Async<void> cast_at(WallTime when, M message) const;
  template <CastOf<B> M>
  Async<void> cast_at(WallTime when, M message, CastOptions options) const;
  template <CastOf<B> M, class... Parts>
  Async<void> cast_at(WallTime when,
                      Parts&&... parts) const requires internal::PartsOf<M, Parts...>;
  template <CastOf<B> M, class... Parts>
  Async<void> cast_at(WallTime when, CastOptions options,
                      Parts&&... parts) const requires internal::PartsOf<M, Parts...>;

  // A cast inside the caller's own transaction: sent with its commit or not at all, like an outbox.
  //
  //   auto sent = co_await store.transact([&](semper::Transaction& tx) -> semper::Async<void> {
  //     tx.set("order/17", order);
  //     co_return co_await shipping.cast_in<Shipping::Prepare>(tx, 17);
  //   });
  //
  // All casts of one transaction to an entity are queued in the order of these calls. They are
  // processed through the queue even if this process serves the type, so a call made after the
  // commit runs after them. If the transaction runs again after a conflict, so does this call: the
  // writes of the lost attempt are gone. In a callback, use Context::cast; never
  // cast_in(context.transaction()). Success: the transaction contains the message. Errors: those of
  // cast, with nothing written: abandon the transaction, or commit it without the cast. Also
  // invalid_argument (the transaction belongs to another store, or to another handle on it than the
  // Ref's) and exhausted (more than kCastInOperations writes in the transaction). Threads: the
  // transaction's. Source of the idea: dgen's outbox_cast; the transactional outbox.
  template <CastOf<B> M>
  Async<void> cast_in(Transaction& transaction, M message) const;
  template <CastOf<B> M, class... Parts>
  Async<void> cast_in(Transaction& transaction,
                      Parts&&... parts) const requires internal::PartsOf<M, Parts...>;
  Async<void> cast_in(Transaction& transaction, Batch<B> batch) const;

  // These bypass the queue and the lock and run at once, in this process, whose host must serve the
  // type (otherwise `unsupported`). They overtake queued messages. For reading, and for
  // emergencies.
  template <CallOf<B> M>
  Async<typename M::Reply> priority_call(M message, CallOptions options = {}) const;
  template <CallOf<B> M, class... Parts>
  Async<typename M::Reply> priority_call(
      Parts&&... parts) const requires internal::PartsOf<M, Parts...>;
  template <CastOf<B> M>
  Async<void> priority_cast(M message) const;
  template <CastOf<B> M, class... Parts>
  Async<void> priority_cast(Parts&&... parts) const requires internal::PartsOf<M, Parts...>;
  template <InfoOf<B> M>
  Async<void> info(M message) const;
  template <InfoOf<B> M, class... Parts>
  Async<void> info(Parts&&... parts) const requires internal::PartsOf<M, Parts...>;

  // Deletes the state, the queue, the lock and the dead letters; waiting callers get `closed`. The
  // next message starts afresh with init. Succeeds however long the queue is and however busy its
  // consumers and publishers are. not_found: there was nothing.
  Async<void> kill() const;

  // Deletes the state: the next message creates a new one with init. The queue stays; a lock is
  // taken away, and its message is handled again. Succeeds as kill does.
  Async<void> reset() const;

  // Takes the lock away from its holder: the holder's result is refused, and the message is
  // handled again. not_found: no lock is held.
  Async<void> unlock() const;

  // The number of messages in the durable queue. One read, whatever its length.
  Async<std::uint64_t> queue_length() const;

  // The same entity; what is sent with this Ref belongs to that trace (env/trace_context.h): calls,
  // casts, batches, and those that are delayed or in a transaction. The context is durable with the
  // message, and costs about 50 bytes in its row. In a callback this is not needed: what it sends
  // carries its own trace on (Context::trace). `spans`: where the span of each send is recorded, if
  // the trace is sampled; null: nowhere. It must outlive the sends.
  //
  //   co_await hits.traced(trace).cast<Counter::Add>(2);
  Ref traced(const TraceContext& trace, SpanBuffer* spans = nullptr) const {
    return Ref(raw_.traced(trace, spans));
  }

  const EntityId& entity() const { return raw_.entity(); }
  const RawRef& untyped() const { return raw_; }

  // Deleted: a message that the behaviour does not handle is a compile error in one line.
  using internal::RefusedMessages<B>::call;
  using internal::RefusedMessages<B>::cast;
  using internal::RefusedMessages<B>::result_of;
  using internal::RefusedMessages<B>::cast_after;
  using internal::RefusedMessages<B>::cast_at;
  using internal::RefusedMessages<B>::cast_in;
  using internal::RefusedMessages<B>::priority_call;
  using internal::RefusedMessages<B>::priority_cast;
  using internal::RefusedMessages<B>::info;

 private:
  explicit Ref(RawRef raw) : raw_(std::move(raw)) {}

  RawRef raw_;
};

// The server of behaviour B with this id. Any id may be named; it is checked when it is used.
template <class B>
Ref<B> ref(Tenant tenant, std::string id) {
  return Ref<B>(std::move(tenant), std::move(id));
}

}  // namespace semper

#include "semper/server/internal/ref.h"
