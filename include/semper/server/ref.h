// Ref<B>: sends messages to one durable server, from any process.
//
//   auto hits = semper::ref<Counter>(store, "page/home");
//   const Counter::Add two{2};
//   Result<std::int64_t> n = co_await hits.call(two);
//   SEMPER_CO_TRY_STATUS(co_await hits.cast(two));
//   auto batch = semper::Batch<Counter>().add(Counter::Add{1}).add(two);
//   SEMPER_CO_TRY_STATUS(co_await hits.cast(std::move(batch)));
//
// Name a message before the co_await: g++ 12 destroys the members of one that is made inside it twice.
//
// What is durable when:
//   cast, batch   success: the message is on stable storage (or already processed) and will take
//                 effect exactly once, in commit order; a batch as a whole. outcome_unknown: it may.
//                 Other errors: it will not. If it never returns: all of it or nothing.
//   call          success: the message's effect and the reply are committed. timeout: the message
//                 may still be processed later, as with gen_server; its reply keys are cleared. An
//                 error that the callback replied comes back as it is.
//   priority_*, info   not durable before they return; on success their effect is.
//
// In a process whose Host serves the type, an entity with an empty queue and no lock runs call and
// cast in one transaction, without the queue; the callback then runs before cast returns, on the
// calling thread. Everywhere else messages go through the durable queue, and the hosts that serve
// the type process them. Messages of many callers to one store are gathered while a commit is
// running.
//
// Errors of all, beside those above: invalid_argument (id, or message over the store's value
// limit), retry (the queue is at its bound: slow down), exhausted, closed, io. Threads: any; a Ref
// is a cheap value. Source of the idea: dgen_server:call/cast/cast_k/priority_call/kill.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "semper/server/behaviour.h"
#include "semper/server/entity_id.h"

namespace semper {

// Messages that may wait in one entity's durable queue; past that, casts and calls to it get `retry`. Each
// process looks after every kQueueCheckInterval messages that it has sent there, so the queue may grow
// longer by that many per process.
inline constexpr std::uint64_t kQueueMessagesMaximum = 1'000'000;
inline constexpr std::uint64_t kQueueCheckInterval = 1'000;

struct CallOptions {
  // How long to wait for the reply. kForever: until it comes.
  Duration timeout = std::chrono::seconds(5);
};

// A message with its type forgotten: its name and its encoding.
struct RawMessage {
  std::string name;
  Bytes payload;  // one CBOR item
};

namespace internal {
struct Target;  // a tenant and an entity with its keys (src/server/target.h)
}

// A Ref with its behaviour's type forgotten: for tools and bridges.
class RawRef {
 public:
  RawRef(Tenant tenant, EntityId id);

  Async<Bytes> call(RawMessage message, CallOptions options = {}) const;
  Async<void> cast(std::vector<RawMessage> messages) const;  // all of them or none, in this order
  Async<Bytes> priority_call(RawMessage message, CallOptions options = {}) const;
  Async<void> priority_cast(RawMessage message) const;
  Async<void> info(RawMessage message) const;

  // Deletes the state, the queue, the lock and the dead letters; waiting callers get `closed`. The
  // next message starts anew with init. Gets through whatever the length of the queue and whoever
  // consumes and publishes. Never returned, or an error after it took effect (the message says so): it
  // is killed, and hosts remove the rest. not_found: there was nothing.
  Async<void> kill() const;

  // The state is made anew by init at the next message; the queue stays. Gets through as kill does.
  Async<void> reset() const;

  // Takes the lock away from whoever holds it: its result will be refused, and the message is
  // handled again. not_found: no lock is held.
  Async<void> unlock() const;

  // Messages that wait in the durable queue. One read, whatever its length.
  Async<std::uint64_t> queue_length() const;

  const EntityId& entity() const;
  const Tenant& tenant() const;

 private:
  std::shared_ptr<const internal::Target> target_;
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
  template <class M>
  requires HandlesCast<B, M> Async<void> cast(M message)
  const {
    std::vector<RawMessage> one;
    one.push_back(raw(message));
    return raw_.cast(std::move(one));
  }
  Async<void> cast(Batch<B> batch) const { return raw_.cast(std::move(batch).take()); }

  // Bypass the queue and the lock and run at once, in this process, whose host must serve the type
  // (else `unsupported`). They break the order with queued messages. For looking, and for
  // emergencies.
  template <class M>
  requires HandlesCall<B, M> Async<typename M::Reply> priority_call(M message,
                                                                    CallOptions options = {})
  const { return decode_reply<M>(raw_.priority_call(raw(message), options)); }
  template <class M>
  requires HandlesCast<B, M> Async<void> priority_cast(M message)
  const { return raw_.priority_cast(raw(message)); }
  template <class M>
  requires HandlesInfo<B, M> Async<void> info(M message)
  const { return raw_.info(raw(message)); }

  Async<void> kill() const { return raw_.kill(); }
  Async<void> reset() const { return raw_.reset(); }
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

  RawRef raw_;
};

// The server of behaviour B with this id. Any id may be named; it is checked when it is used.
template <class B>
Ref<B> ref(Tenant tenant, std::string id) {
  return Ref<B>(std::move(tenant), std::move(id));
}

}  // namespace semper
