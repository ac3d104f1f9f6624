// Ref<B>: sends messages to one durable server, from any process.
//
// What for: calling and casting to an entity, and killing or resetting it. When not: in a callback
// (use Context::cast, which commits with it), for casts that must not repeat after an unknown
// outcome (cast_once.h), and for inspecting entities (inspect.h).
//
//   auto hits = semper::ref<Counter>(store, "page/home");
//   Result<std::int64_t> n = co_await hits.call<Counter::Add>(2);
//   SEMPER_CO_TRY_STATUS(co_await hits.cast<Counter::Add>(2));
//   auto batch = semper::Batch<Counter>().add<Counter::Add>(1).add<Counter::Add>(2);
//   SEMPER_CO_TRY_STATUS(co_await hits.cast(std::move(batch)));
//   const Counter::Add three{3};                                  // or a message by its name
//   SEMPER_CO_TRY_STATUS(co_await hits.cast(three));
//
// Never build a message with braces inside the co_await: g++ 12 destroys its members twice. The
// forms above, which take the parts of the message, are safe with every compiler.
//
// What is durable when:
//   cast, batch   success: the message is on stable storage (or already processed) and takes
//                 effect exactly once, in commit order; a batch as a whole. outcome_unknown: it may.
//                 Any other error: it will not. If it never returns: all of it or nothing.
//   cast_in       nothing by itself: it is part of the transaction that it is given
//   call          success: the message's effect and the reply are committed. timeout: the message
//                 may still be processed later, as with gen_server; its reply keys are cleared. An
//                 error that the callback returned comes back unchanged.
//   cast_after, cast_at   success: the message is on stable storage, and enters the entity's queue
//                 once, when it is due (server/timer.h). Otherwise as cast.
//   priority_*, info   not durable until they return; on success their effect is.
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
//   unsupported       only a newer program can serve it, or the message is unknown: update this one
//   corrupt           the entity is parked: docs/operations.md, "Parked entities"
//   internal          a callback failed; after the queue, the message is a dead letter: see there
//   conflict          of priority calls: others kept changing the entity: call again
//   cancelled         the calling coroutine was, before the message was handed over
//   closed, io        the store was closed, or has failed for good: open it again
// Threads: any; a Ref is a cheap value.
// Source of the idea: dgen_server:call/cast/cast_k/priority_call/kill.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "semper/base/codec.h"
#include "semper/base/type_name.h"
#include "semper/env/asio.h"
#include "semper/server/behaviour.h"
#include "semper/server/entity_id.h"
#include "semper/server/idempotency_key.h"
#include "semper/server/internal/message_parts.h"
#include "semper/server/message.h"

namespace semper {

struct CallOptions {
  // How long to wait for the reply. kForever: until it comes.
  Duration timeout = std::chrono::seconds(5);

  // With a key, a repeated call gets the reply of the first (server/idempotency_key.h). Default:
  // none.
  std::optional<IdempotencyKey> key = std::nullopt;
};

struct CastOptions {
  // With a key, a repeated cast does nothing (server/idempotency_key.h). Default: none.
  std::optional<IdempotencyKey> key = std::nullopt;
};

// Writes of any kind in one transaction, beyond which cast_in cannot number its messages.
inline constexpr std::size_t kCastInOperations = 65'000;

// A type-erased Ref, for tools and bridges.
class RawRef {
 public:
  RawRef(Tenant tenant, EntityId id);

  Async<Bytes> call(RawMessage message, CallOptions options = {}) const;
  Async<void> cast(std::vector<RawMessage> messages) const;  // all of them or none, in this order
  Async<void> cast(RawMessage message, CastOptions options) const;
  Async<KeyedReply<Bytes>> result_of(std::string message_name, std::string_view key) const;
  Async<void> cast_after(Duration delay, RawMessage message) const;
  Async<void> cast_at(WallTime when, RawMessage message) const;
  Async<void> cast_in(Transaction& transaction, std::vector<RawMessage> messages) const;
  Async<Bytes> priority_call(RawMessage message, CallOptions options = {}) const;
  Async<void> priority_cast(RawMessage message) const;
  Async<void> info(RawMessage message) const;

  // Deletes the state, the queue, the lock and the dead letters; waiting callers get `closed`. The
  // next message starts afresh with init. Succeeds however long the queue is and however busy its
  // consumers and publishers are. If it never returns, or fails after it took effect (the message
  // says so), the entity is killed, and hosts remove the rest. not_found: there was nothing.
  Async<void> kill() const;

  // Deletes the state: the next message creates a new one with init. The queue stays; a lock is
  // taken away, and its message is handled again. Succeeds as kill does.
  Async<void> reset() const;

  // Takes the lock away from its holder: the holder's result is refused, and the message is
  // handled again. not_found: no lock is held.
  Async<void> unlock() const;

  // The number of messages in the durable queue. One read, whatever its length.
  Async<std::uint64_t> queue_length() const;

  const EntityId& entity() const;
  const Tenant& tenant() const;

 private:
  std::shared_ptr<const internal::Route> route_;
};

// Messages that are enqueued together, in this order, or not at all.
template <class B>
class Batch {
 public:
  template <class M>
  requires HandlesCast<B, M> Batch& add(const M& message) {
    messages_.push_back({std::string(short_type_name<M>()), encode(message)});
    return *this;
  }
  template <class M, class... Parts>
  requires HandlesCast<B, M> && internal::PartsOf<M, Parts...> Batch& add(Parts&&... parts) {
    return add(internal::make_message<M>(std::forward<Parts>(parts)...));
  }
  std::vector<RawMessage> take() && { return std::move(messages_); }
  std::vector<RawMessage> take() const& { return messages_; }

 private:
  std::vector<RawMessage> messages_;
};

template <class B>
class Ref {
 public:
  Ref(Tenant tenant, std::string id)
      : raw_(std::move(tenant), EntityId{std::string(type_name<B>()), std::move(id)}) {}

  template <class M>
  requires HandlesCall<B, M> Async<typename M::Reply> call(M message, CallOptions options = {})
  const { return decode_reply<M>(raw_.call(raw(message), options)); }
  // call<M>(parts...): creates the M from its parts. With options: call<M>(options, parts...).
  template <class M, class... Parts>
  requires HandlesCall<B, M> && internal::PartsOf<M, Parts...> Async<typename M::Reply> call(
      Parts&&... parts)
  const { return call<M>(CallOptions{}, std::forward<Parts>(parts)...); }
  template <class M, class... Parts>
  requires HandlesCall<B, M> && internal::PartsOf<M, Parts...> Async<typename M::Reply> call(
      CallOptions options, Parts&&... parts)
  const { return call(internal::make_message<M>(std::forward<Parts>(parts)...), options); }
  template <class M>
  requires HandlesCast<B, M> Async<void> cast(M message)
  const {
    std::vector<RawMessage> one;
    one.push_back(raw(message));
    return raw_.cast(std::move(one));
  }
  template <class M, class... Parts>
  requires HandlesCast<B, M> && internal::PartsOf<M, Parts...> Async<void> cast(Parts&&... parts)
  const { return cast(internal::make_message<M>(std::forward<Parts>(parts)...)); }
  Async<void> cast(Batch<B> batch) const { return raw_.cast(std::move(batch).take()); }
  template <class M>
  requires HandlesCast<B, M> Async<void> cast(M message, CastOptions options)
  const { return raw_.cast(raw(message), options); }
  template <class M, class... Parts>
  requires HandlesCast<B, M> && internal::PartsOf<M, Parts...> Async<void> cast(CastOptions options,
                                                                                Parts&&... parts)
  const { return cast(internal::make_message<M>(std::forward<Parts>(parts)...), options); }

  // What became of the call or cast of an M that any process sent with this key. Sends nothing. One
  // read. If the message was sent as a call, the reply is the call's; otherwise it has no value.
  //   auto known = co_await account.result_of<Account::Transfer>(request.id);
  template <class M>
  requires HandlesCall<B, M> Async<KeyedReply<typename M::Reply>> result_of(std::string_view key)
  const {
    return decode_result<typename M::Reply>(raw_.result_of(std::string(short_type_name<M>()), key));
  }
  template <class M>
  requires(HandlesCast<B, M> &&
           !HandlesCall<B, M>) Async<KeyedReply<void>> result_of(std::string_view key)
  const { return decode_result<void>(raw_.result_of(std::string(short_type_name<M>()), key)); }

  // A cast that any host of the type sends when it is due. It is an unnamed timer of the entity
  // (list_timers.h shows and cancels it). Errors in addition to those of cast: exhausted (the
  // entity already has kTimersPerEntity timers).
  template <class M>
  requires HandlesCast<B, M> Async<void> cast_after(Duration delay, M message)
  const { return raw_.cast_after(delay, raw(message)); }
  template <class M, class... Parts>
  requires HandlesCast<B, M> && internal::PartsOf<M, Parts...> Async<void> cast_after(
      Duration delay, Parts&&... parts)
  const { return cast_after(delay, internal::make_message<M>(std::forward<Parts>(parts)...)); }
  template <class M>
  requires HandlesCast<B, M> Async<void> cast_at(WallTime when, M message)
  const { return raw_.cast_at(when, raw(message)); }
  template <class M, class... Parts>
  requires HandlesCast<B, M> && internal::PartsOf<M, Parts...> Async<void> cast_at(WallTime when,
                                                                                   Parts&&... parts)
  const { return cast_at(when, internal::make_message<M>(std::forward<Parts>(parts)...)); }
  // A cast inside the caller's own transaction: sent with its commit or not at all, like an outbox.
  //
  //   co_await store.transact([&](semper::Transaction& tx) -> semper::Async<void> {
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
  template <class M>
  requires HandlesCast<B, M> Async<void> cast_in(Transaction& transaction, M message)
  const {
    std::vector<RawMessage> one;
    one.push_back(raw(message));
    return raw_.cast_in(transaction, std::move(one));
  }
  template <class M, class... Parts>
  requires HandlesCast<B, M> && internal::PartsOf<M, Parts...> Async<void> cast_in(
      Transaction& transaction, Parts&&... parts)
  const { return cast_in(transaction, internal::make_message<M>(std::forward<Parts>(parts)...)); }
  Async<void> cast_in(Transaction& transaction, Batch<B> batch) const {
    return raw_.cast_in(transaction, std::move(batch).take());
  }

  // These bypass the queue and the lock and run at once, in this process, whose host must serve the
  // type (otherwise `unsupported`). They overtake queued messages. For reading, and for
  // emergencies.
  template <class M>
  requires HandlesCall<B, M> Async<typename M::Reply> priority_call(M message,
                                                                    CallOptions options = {})
  const { return decode_reply<M>(raw_.priority_call(raw(message), options)); }
  template <class M, class... Parts>
  requires HandlesCall<B, M> && internal::PartsOf<M, Parts...> Async<typename M::Reply>
  priority_call(Parts&&... parts)
  const { return priority_call(internal::make_message<M>(std::forward<Parts>(parts)...)); }
  template <class M>
  requires HandlesCast<B, M> Async<void> priority_cast(M message)
  const { return raw_.priority_cast(raw(message)); }
  template <class M, class... Parts>
  requires HandlesCast<B, M> && internal::PartsOf<M, Parts...> Async<void> priority_cast(
      Parts&&... parts)
  const { return priority_cast(internal::make_message<M>(std::forward<Parts>(parts)...)); }
  template <class M>
  requires HandlesInfo<B, M> Async<void> info(M message)
  const { return raw_.info(raw(message)); }
  template <class M, class... Parts>
  requires HandlesInfo<B, M> && internal::PartsOf<M, Parts...> Async<void> info(Parts&&... parts)
  const { return info(internal::make_message<M>(std::forward<Parts>(parts)...)); }

  // If the behaviour does not handle a message, the compiler says so in one line here: the
  // behaviour has no handle_call (handle_cast, handle_info) for a const M&, or one whose arguments
  // or reply do not fit.
  template <class M>
  requires(!HandlesCall<B, M>) Async<void> call(M, CallOptions = {})
  const = delete;
  template <class M, class... Parts>
  requires(!HandlesCall<B, M> && internal::NoneIs<M, Parts...>) Async<void> call(Parts&&...)
  const = delete;
  template <class M>
  requires(!HandlesCast<B, M>) Async<void> cast(M)
  const = delete;
  template <class M, class... Parts>
  requires(!HandlesCast<B, M> && internal::NoneIs<M, Parts...>) Async<void> cast(Parts&&...)
  const = delete;
  template <class M>
  requires(!HandlesInfo<B, M>) Async<void> info(M)
  const = delete;
  template <class M>
  requires(!HandlesCast<B, M>) Async<void> cast_after(Duration, M)
  const = delete;
  template <class M>
  requires(!HandlesCast<B, M>) Async<void> cast_at(WallTime, M)
  const = delete;

  Async<void> kill() const { return raw_.kill(); }
  Async<void> reset() const { return raw_.reset(); }
  Async<void> unlock() const { return raw_.unlock(); }
  Async<std::uint64_t> queue_length() const { return raw_.queue_length(); }

  const EntityId& entity() const { return raw_.entity(); }
  const RawRef& untyped() const { return raw_; }

 private:
  template <class M>
  static RawMessage raw(const M& message) {
    return {std::string(short_type_name<M>()), encode(message)};
  }
  template <class M>
  static Async<typename M::Reply> decode_reply(Async<Bytes> call) {
    SEMPER_CO_TRY(Bytes reply, co_await std::move(call));
    co_return decode<typename M::Reply>(reply);
  }
  template <class Reply>
  static Async<KeyedReply<Reply>> decode_result(Async<KeyedReply<Bytes>> asked) {
    SEMPER_CO_TRY(const auto known, co_await std::move(asked));
    KeyedReply<Reply> result;
    result.state = static_cast<typename KeyedReply<Reply>::State>(known.state);
    result.kept_until = known.kept_until;
    if (!known.reply) co_return result;
    if (!*known.reply) {
      result.reply.emplace(fail(known.reply->error()));
    } else if constexpr (std::is_void_v<Reply>) {
      result.reply.emplace();
    } else if (!(*known.reply)->empty()) {  // else it was sent as a cast
      result.reply.emplace(decode<Reply>(**known.reply));
    }
    co_return result;
  }

  RawRef raw_;
};

// The server of behaviour B with this id. Any id may be named; it is checked when it is used.
template <class B>
Ref<B> ref(Tenant tenant, std::string id) {
  return Ref<B>(std::move(tenant), std::move(id));
}

}  // namespace semper
