// Context, LockedContext: what a callback may know and do besides its message and state.
//
//   semper::Reply<int> handle_call(const Buy& m, State& s, semper::Context& ctx) {
//     s.last = ctx.now();
//     ctx.cast(semper::ref<Ledger>(ctx.tenant(), "main"), Ledger::Booked{m.amount});  // same commit
//     s.waiting = ctx.reply_token();
//     return semper::no_reply;               // some day, in another callback: ctx.reply(s.waiting, 42)
//   }
//
// What a Context does becomes real with the transaction's commit, exactly once, and not at all if
// the callback throws. When not: any other effect. A callback may run more than once before its
// transaction commits, so other effects belong in an action (reply.h) or in handle_locked.
//
// Ownership: borrowed; a Context is gone when the callback returns. Threads: the callback's own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "semper/base/codec.h"
#include "semper/base/type_name.h"
#include "semper/env/env.h"
#include "semper/server/cron.h"
#include "semper/server/entity_id.h"
#include "semper/server/internal/action.h"
#include "semper/server/internal/context_fields.h"
#include "semper/server/message.h"
#include "semper/server/timer.h"
#include "semper/store/transaction.h"

namespace semper {

template <class Behaviour>
class Ref;

class Context {
 public:
  // For hosts alone.
  explicit Context(internal::ContextFields fields) : fields_(std::move(fields)) {}

  const EntityId& id() const { return *fields_.id; }
  const Tenant& tenant() const { return *fields_.tenant; }
  Event event() const { return fields_.event; }

  // The calendar time of this attempt, one for the whole transaction.
  WallTime now() const { return fields_.now; }
  Random& random() const { return *fields_.env.random; }

  // The caller of this call, for an answer later; empty for casts and infos.
  const ReplyToken& reply_token() const { return fields_.caller; }

  // Answers that caller, in this transaction. A caller that gave up meanwhile gets nothing; one whose
  // answer is larger than the store's limits allow gets `exhausted` instead.
  template <class T>
  void reply(const ReplyToken& to, const T& value) {
    send_reply(to, encode(value));
  }
  void reply_error(const ReplyToken& to, const Error& error);

  // A cast to another entity, or to this one: sent with this commit, or not at all. One to itself waits
  // at the end of the entity's own queue, before whatever is sent after the commit. The Ref may be of
  // another tenant of the same store. Where it cannot be sent (the Ref is of another store, the id is
  // not valid, or the message or all that this callback sends is over the store's limits) the
  // callback's own message fails, alone, with that error: it is not tried again but set aside, or its
  // caller told, and nothing that this callback did takes effect.
  template <class Behaviour, class Message>
  void cast(const Ref<Behaviour>& to, const Message& message) {
    send_cast(to.untyped().tenant(), to.entity(), short_type_name<Message>(), encode(message));
  }

  // Durable timers of this entity (timer.h, cron.h): the message comes to it as a cast, later. Set or
  // cancelled with this commit, or not at all. The same name with the same spec leaves the timer as it
  // is, another spec replaces it. What cannot be set (a name that is empty, too long or not UTF-8, a
  // message over kTimerMessageBytes, a period under kTimerPeriodMinimum, a schedule or a zone that is
  // none, or one more than kTimersPerEntity) fails this callback's message, as with cast.
  template <class Message>
  void send_after(std::string_view name, Duration delay, const Message& message) {
    set_timer_after(name, delay, {std::string(short_type_name<Message>()), encode(message)});
  }
  template <class Message>
  void send_at(std::string_view name, WallTime when, const Message& message) {
    set_timer_at(name, when, {std::string(short_type_name<Message>()), encode(message)});
  }
  template <class Message>
  void send_every(std::string_view name, const EveryOptions& options, const Message& message) {
    set_timer_every(name, options, {std::string(short_type_name<Message>()), encode(message)});
  }
  template <class Message>
  void send_cron(std::string_view name, const CronOptions& options, const Message& message) {
    set_timer_cron(name, options, {std::string(short_type_name<Message>()), encode(message)});
  }
  // Does nothing where there is no such timer. From this commit on none of its ticks is handled.
  void cancel_timer(std::string_view name);
  // Stops it until it is resumed; a tick that waits in the queue is not handled. Then one of a single
  // tick sends it when it is due, or at once; a repeating one goes on with its next due time, and counts
  // those that have passed as missed. Both do nothing where there is no such timer, or it is so already.
  // Setting it with the same spec leaves it paused.
  void pause_timer(std::string_view name);
  void resume_timer(std::string_view name);

  // Of the tick that is being handled; null: the message is none.
  const Tick* tick() const { return fields_.tick; }

  // Runs the function in this process once this callback's transaction has committed; at most once, and
  // not at all where that commit is not made or not known, or this process ends first. In the order in
  // which they were given, before the Reply's own actions; one that returns ActionFlow::halt ends the
  // rest of this callback's, those of the Reply too. What it throws is logged. It must not block, nor
  // use this Context or the state by reference: both are gone by then.
  // The same as an action (reply.h), but for three things: it is given anywhere in the callback, also
  // by what the callback calls and where that returns nothing; it is not handed the committed state; it
  // runs first. When not: what must happen for certain is a message or a lock.
  //
  //   ctx.after_commit([cache = cache_, key = m.key] { cache->drop(key); });
  template <class F>
  requires std::is_invocable_v<F&>
  void after_commit(F function) {
    fields_.after_commit->push_back(internal::make_after_commit(std::move(function)));
  }

  // The transaction itself, for keys of your own in this commit, as in store/transaction.h. Reads are
  // awaited, in a callback that waits (behaviour.h): what it reads is unchanged when it commits, or the
  // callback runs again. Do not commit it, and do not touch it when the callback has ended.
  Transaction& transaction() const { return *fields_.transaction; }

  // The state of another entity as it is committed, read in this transaction as its own keys are: empty
  // before its first message. Of this entity: as it was before this batch. The state may be of any
  // size, and each change of it makes the callback run again: ask for what is seldom written. Errors:
  // those of the store, corrupt and invalid_argument where it does not decode, invalid_argument for
  // another store. Let them throw, and the message fails and is tried again: co_await
  // value(ctx.state_of(ref)). An error that handle_call returns is an answer, and the state stays.
  template <class Behaviour>
  Async<std::optional<typename Behaviour::State>> state_of(const Ref<Behaviour>& of) const {
    return decoded<typename Behaviour::State>(read_state(of.untyped().tenant(), of.entity()));
  }

 private:
  friend class LockedContext;
  void send_reply(const ReplyToken& to, BytesView encoded);
  void answer(const ReplyToken& to, Bytes encoded);
  void send_cast(const Tenant& tenant, const EntityId& to, std::string_view message,
                 BytesView payload);
  void set_timer_after(std::string_view name, Duration delay, RawMessage message);
  void set_timer_at(std::string_view name, WallTime when, RawMessage message);
  void set_timer_every(std::string_view name, const EveryOptions& options, RawMessage message);
  void set_timer_cron(std::string_view name, const CronOptions& options, RawMessage message);
  void request_timer(std::string_view name, Result<internal::TimerSpec> spec,
                     std::int64_t cron_ms = 0);
  void request_timer(std::string_view name, internal::TimerRequest::What what);
  Async<std::optional<Bytes>> read_state(Tenant tenant, EntityId of) const;

  template <class State>
  static Async<std::optional<State>> decoded(Async<std::optional<Bytes>> reading) {
    SEMPER_CO_TRY(const auto encoded, co_await std::move(reading));
    if (!encoded) co_return std::nullopt;
    SEMPER_CO_TRY(auto state, decode<State>(*encoded));
    co_return std::optional<State>(std::move(state));
  }

  internal::ContextFields fields_;
};

// In handle_locked: outside any transaction, for as long as it takes, side effects allowed.
class LockedContext {
 public:
  // For hosts alone.
  explicit LockedContext(internal::LockedContextFields fields) : fields_(std::move(fields)) {}
  // The same with another clock, for tests that count what a callback waits for.
  LockedContext with_clock(Clock& clock) const {
    LockedContext other = *this;
    other.fields_.env.clock = &clock;
    return other;
  }

  const EntityId& id() const { return *fields_.id; }
  const Tenant& tenant() const { return *fields_.tenant; }
  Event event() const { return fields_.event; }
  Clock& clock() const { return *fields_.env.clock; }
  Random& random() const { return *fields_.env.random; }

  // Grows with every lock of every entity: give it to an outside system that refuses older ones.
  std::uint64_t fencing_token() const { return fields_.fencing_token; }

  // Stop is requested when the lease was lost or the host shuts down: another host may hold the
  // lock; whatever handle_locked returns then will be refused. End soon.
  std::stop_token lost() const { return fields_.lost; }

  // Of the tick that is being handled; null: the message is none.
  const Tick* tick() const { return fields_.tick; }

  // Messages to entities, answers to callers, and writes to keys of your own (`write` may run more than
  // once). They go out with the result of this handle_locked, in its transaction and in this order, or
  // not at all: not where it fails, and not where the lock was lost. What cannot be sent (Context::cast)
  // or is more than one transaction takes makes the message fail with that error; it is set aside.
  template <class Behaviour, class Message>
  void cast(const Ref<Behaviour>& to, const Message& message) {
    send_cast(to.untyped().tenant(), to.entity(), short_type_name<Message>(), encode(message));
  }
  template <class T>
  void reply(const ReplyToken& to, const T& value) {
    send_reply(to, encode(value));
  }
  void reply_error(const ReplyToken& to, const Error& error);
  void with_result(std::function<void(Transaction&)> write);

 private:
  void send_cast(Tenant tenant, EntityId to, std::string_view message, Bytes payload);
  void send_reply(const ReplyToken& to, Bytes encoded);

  internal::LockedContextFields fields_;
};

}  // namespace semper
