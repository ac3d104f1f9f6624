// Context: what a callback can find out and do, apart from its message and state. handle_locked has
// a LockedContext (locked_context.h).
//
//   semper::Reply<int> handle_call(const Buy& m, State& s, semper::Context& ctx) {
//     s.last = ctx.now();
//     const auto ledger = semper::ref<Ledger>(ctx.tenant(), "main");
//     ctx.cast(ledger, Ledger::Booked{m.amount});      // sent with this commit, or not at all
//     s.waiting = ctx.reply_token();
//     return semper::no_reply;       // some day, in another callback: ctx.reply(s.waiting, 42)
//   }
//
// Whatever a callback does through its Context takes effect with the transaction's commit, exactly
// once, and not at all if the callback throws. When not: any other effect. A callback may run more
// than once before its transaction commits, so other effects belong in an action (reply.h) or in
// handle_locked.
//
// Ownership: borrowed; a Context ends when the callback returns. Threads: the callback's own.
#pragma once

#include <cstdint>
#include <optional>
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
#include "semper/server/locked_context.h"
#include "semper/server/message.h"
#include "semper/server/timer.h"
#include "semper/store/transaction.h"

namespace semper {

template <class Behaviour>
class Ref;
struct TraceContext;

class Context {
 public:
  // For hosts only.
  explicit Context(internal::ContextFields fields) : fields_(std::move(fields)) {}

  const EntityId& id() const { return *fields_.id; }
  const Tenant& tenant() const { return *fields_.tenant; }
  Event event() const { return fields_.event; }

  // The wall-clock time of this attempt, the same for the whole transaction.
  WallTime now() const { return fields_.now; }
  Random& random() const { return *fields_.env.random; }

  // The caller of this call, for a later answer; empty for casts and infos.
  const ReplyToken& reply_token() const { return fields_.caller; }

  // Answers that caller, in this transaction. A caller that has given up gets nothing. If the
  // answer exceeds the store's limits, the caller gets `exhausted` instead.
  template <class T>
  void reply(const ReplyToken& to, const T& value) {
    send_reply(to, encode(value));
  }
  void reply_error(const ReplyToken& to, const Error& error);

  // A cast to another entity, or to this one: sent with this commit or not at all. A cast to itself
  // waits at the end of the entity's own queue, ahead of anything sent after the commit. The Ref
  // may belong to another tenant of the same store. If the cast cannot be sent (the Ref is of
  // another store, the id is invalid, or the message or everything that this callback sends exceeds
  // the store's limits), the callback's own message fails, alone, with that error. It is not
  // retried but set aside, or its caller gets the error, and nothing that this callback did takes
  // effect.
  template <class Behaviour, class Message>
  void cast(const Ref<Behaviour>& to, const Message& message) {
    send_cast(to.untyped().tenant(), to.entity(), short_type_name<Message>(), encode(message));
  }

  // Durable timers of this entity (timer.h, cron.h): later, the message arrives as a cast. Timers
  // are set or cancelled with this commit or not at all. Setting the same name with the same spec
  // leaves the timer as it is; a different spec replaces it. If a timer cannot be set (the name is
  // empty, too long or not UTF-8, the message exceeds kTimerMessageBytes, the period is under
  // kTimerPeriodMinimum, the schedule or the zone is invalid, or the entity already has
  // kTimersPerEntity timers), this callback's message fails, as with cast.
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
  // Does nothing if there is no such timer. From this commit on, none of its ticks is handled.
  void cancel_timer(std::string_view name);
  // Pauses the timer until it is resumed; a tick that waits in the queue is not handled. A resumed
  // timer with a single tick sends it when it is due, or at once if that time has passed; a
  // repeating timer continues with its next due time, and counts those that have passed as missed.
  // Both do nothing if there is no such timer, or it is already in that state. Setting a paused
  // timer with the same spec leaves it paused.
  void pause_timer(std::string_view name);
  void resume_timer(std::string_view name);

  // The tick that is being handled; null if the message is not a tick.
  const Tick* tick() const { return fields_.tick; }

  // The trace that the message belongs to; null: none. What this callback sends carries it on by
  // itself: casts, calls of Refs, and timers of one tick (a repeating timer begins without a trace,
  // which would never end). Where the host records spans (HostOptions::spans), the parent is the
  // span of this run. A tick, or a message that came as a call of another host, has its sender's.
  const TraceContext* trace() const;

  // Runs the function in this process once this callback's transaction has committed: at most once,
  // and not at all if the commit fails, its outcome is unknown, or this process ends first.
  // Functions run in the order in which they were given, before the Reply's own actions. If one
  // returns ActionFlow::halt, the remaining ones of this callback do not run, including those of
  // the Reply. Exceptions are logged. The function must not block, and must not use this Context or
  // the state by reference: both are gone by then.
  // It differs from an action (reply.h) in three ways: it can be given anywhere in the callback,
  // including functions that the callback calls and callbacks that return nothing; it does not get
  // the committed state; and it runs first. When not: for effects that must happen, use a message
  // or a lock.
  //
  //   ctx.after_commit([cache = cache_, key = m.key] { cache->drop(key); });
  template <class F>
  requires std::is_invocable_v<F&>
  void after_commit(F function) {
    fields_.after_commit->push_back(internal::make_after_commit(std::move(function)));
  }

  // The transaction itself, for your own keys in this commit, as in store/transaction.h. A callback
  // that reads must await (behaviour.h): what it reads is unchanged at the commit, or the callback
  // runs again. Do not commit the transaction, and do not use it after the callback has ended.
  Transaction& transaction() const { return *fields_.transaction; }

  // The committed state of another entity, read in this transaction like its own keys; empty before
  // the entity's first message. For this entity: the state before this batch. The state may have
  // any size, and every change of it makes the callback run again, so read entities that are seldom
  // written. Errors: those of the store, corrupt and invalid_argument if it cannot be decoded,
  // invalid_argument for another store. Let them throw, so that the message fails and is retried:
  // co_await value(ctx.state_of(ref)). An error that handle_call returns is an answer, and changes
  // to the state stay.
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

}  // namespace semper
