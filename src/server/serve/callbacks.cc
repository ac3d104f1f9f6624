#include "server/serve/callbacks.h"

#include <iterator>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/env/internal/cancellable.h"
#include "semper/store/too_old.h"
#include "server/format/timers.h"
#include "server/send/call_chain.h"

namespace semper::internal {
namespace {

Ran ended(Ran::How how, Error error) {
  Ran ran;
  ran.how = how;
  ran.error = std::move(error);
  return ran;
}

}  // namespace

Tick tick_of(const TickRecord& record) {
  return {record.timer, timer_time(record.nominal_ms), timer_time(record.actual_ms),
          is_triggered(record) ? 0 : record.number, record.missed};
}

WallTime CallbackRunner::now(CallbackSends& sends) const {
  if (!sends.now) sends.now = served_.core().clock().wall_time();
  return *sends.now;
}

// In the words that the behaviour has for it, without a state.
Ran CallbackRunner::unknown(const RawMessage& message, Event event) const {
  const char* const callback = event == Event::call   ? "handle_call"
                               : event == Event::cast ? "handle_cast"
                                                      : "handle_info";
  const Error error = no_callback_error(served_.type(), message.name, callback);
  return ended(Ran::How::unknown, Error(ErrorKind::unsupported, error.message()));
}

Ran CallbackRunner::run(Transaction& transaction, Event event, const RawMessage& message,
                        ReplyToken caller, CallbackSends& sends, const TickRecord* record,
                        std::int64_t since_us) const {
  auto& behaviour = served_.behaviour();
  auto state = entity_.state(behaviour);
  if (!state && !behaviour.takes(message.name, event)) return unknown(message, event);
  if (!state) return ended(Ran::How::failed, state.error());
  // What a callback that waits goes on using stays where it is.
  std::unique_ptr<Ran::Lent> kept;
  if (behaviour.has_waiting_callbacks()) kept = std::make_unique<Ran::Lent>();
  Ran::Lent here;
  Ran::Lent& lent = kept ? *kept : here;
  ContextFields given = fields(transaction, event, std::move(caller), sends, lent.after_commit);
  if (record != nullptr) given.tick = &lent.tick.emplace(tick_of(*record));
  if (message.trace) {
    lent.traced = begin_traced(message, since_us, sends);
    given.trace = lent.traced->trace;
  }
  Context context(std::move(given));
  auto handled = behaviour.handle(message.name, message.payload, *state, context);
  const bool waits = handled && handled->rest;
  if (!waits && !lent.traced) {
    return outcome(event, std::move(handled), sends, std::move(lent.after_commit));
  }
  if (!waits) {
    Ran ran = outcome(event, std::move(handled), sends, std::move(lent.after_commit));
    end_traced(*lent.traced, ran, sends);
    return ran;
  }
  Ran ran;
  ran.how = Ran::How::waits;
  ran.rest = std::move(handled->rest);
  ran.lent = std::move(kept);
  return ran;
}

std::unique_ptr<TracedRun> CallbackRunner::begin_traced(const RawMessage& message,
                                                        std::int64_t since_us,
                                                        CallbackSends& sends) const {
  const auto& core = served_.core();
  auto traced = std::make_unique<TracedRun>();
  traced->sent = message.trace;
  traced->span = open_span(core.options.spans, core.env(), message.trace, "process", target_.id,
                           message.name, SpanKind::consumer);
  traced->trace = traced->span ? traced->span->trace : message.trace;
  traced->since_us = since_us;
  if (traced->span && !sends.spans) {
    sends.spans = std::make_shared<SpansOfAttempt>(*core.options.spans);
  }
  return traced;
}

void CallbackRunner::end_traced(const TracedRun& traced, const Ran& ran,
                                CallbackSends& sends) const {
  if (!traced.span) return;
  end_run(served_.core().env(), *traced.span, *traced.sent, traced.since_us, ran.error, sends);
}

std::optional<Ran> CallbackRunner::run_dead_letter(Transaction& transaction,
                                                   const DeadLetterInfo& letter,
                                                   CallbackSends& sends) const {
  auto& behaviour = served_.behaviour();
  auto state = entity_.state(behaviour);
  if (!state) return std::nullopt;
  std::vector<Action> after_commit;
  Context context(fields(transaction, letter.event, {}, sends, after_commit));
  auto handled = behaviour.handle_dead_letter(letter, *state, context);
  if (handled && handled->control.next == Next::lock) {
    return ended(Ran::How::failed,
                 Error(ErrorKind::unsupported, "handle_dead_letter cannot take the lock"));
  }
  return outcome(Event::cast, std::move(handled), sends, std::move(after_commit));
}

Ran CallbackRunner::run_expiry(Transaction& transaction, CallbackSends& sends) const {
  auto& behaviour = served_.behaviour();
  auto state = entity_.state(behaviour);
  if (!state) return ended(Ran::How::failed, state.error());
  std::vector<Action> after_commit;
  Context context(fields(transaction, Event::cast, {}, sends, after_commit));
  auto handled = behaviour.handle_expiry(*state, context);
  if (handled && handled->control.next == Next::lock) {
    return ended(Ran::How::failed,
                 Error(ErrorKind::unsupported, "handle_expiry cannot take the lock"));
  }
  return outcome(Event::cast, std::move(handled), sends, std::move(after_commit));
}

ContextFields CallbackRunner::fields(Transaction& transaction, Event event, ReplyToken caller,
                                     CallbackSends& sends,
                                     std::vector<Action>& after_commit) const {
  auto& core = served_.core();
  entity_.touch();
  sends.counts = &core.send_counts;
  return {&target_.tenant, &target_.id,       &transaction, core.env(),    now(sends),
          event,           std::move(caller), &sends,       &after_commit, nullptr};
}

namespace {

// The part of a transaction's time that a callback may wait for.
Duration wait_maximum(const Limits& limits) {
  return limits.transaction_duration * 4 / 5;
}

// A callback that is told of its end later than this was not slow: its loop, or its process, did
// not run.
constexpr Duration kLoopStalled = std::chrono::milliseconds(500);

// As of a transaction whose snapshot became too old: it is begun anew.
Error not_run_for_long(Duration past) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(past).count();
  return Error(ErrorKind::timeout, Limit{kTransactionDurationLimit, static_cast<std::uint64_t>(ms)},
               "the loop that a callback waits on did not run for " + std::to_string(ms) +
                   " ms after its time was over; nothing was applied");
}

Task<void> run_rest(asio::awaitable<Result<Handled>> rest,
                    std::shared_ptr<std::optional<Result<Handled>>> into) {
  try {
    into->emplace(co_await std::move(rest));
  } catch (...) {  // cancelled before it began
    into->emplace(fail(exception_error("a callback", std::current_exception())));
  }
}

}  // namespace

Task<Ran> CallbackRunner::finish(Ran begun, Event event, MonotonicTime transaction_began,
                                 CallbackSends& sends) const {
  auto& core = served_.core();
  const Duration most = wait_maximum(core.store().limits());
  auto handled = std::make_shared<std::optional<Result<Handled>>>();
  auto frame = std::make_shared<CallFrame>(
      entity_.shared_target(), CallFrame::Waits::in_transaction, std::move(begun.lent->chain),
      begun.lent->traced ? begun.lent->traced->trace : nullptr, core.options.spans);
  auto work = run_rest(std::move(*begun.rest), handled);
  const bool late =
      co_await run_until(core.clock(), transaction_began + most, std::move(work), frame);
  frame->end();
  const bool in_time = !late || SEMPER_MUTANT("server_callback_waits_for_ever");
  if (in_time) {
    Ran ran = outcome(event, std::move(**handled), sends, std::move(begun.lent->after_commit));
    if (begun.lent->traced) end_traced(*begun.lent->traced, ran, sends);
    co_return ran;
  }
  const Duration past = core.clock().now() - transaction_began - most;
  if (past > kLoopStalled) co_return ended(Ran::How::failed, not_run_for_long(past));
  const auto seconds = std::chrono::duration<double>(most).count();
  co_return ended(Ran::How::failed,
                  Error(ErrorKind::internal,
                        "the callback waited for longer than the " + std::to_string(seconds) +
                            " s that it has within a transaction; wait in handle_locked, or for "
                            "less"));
}

Ran CallbackRunner::outcome(Event event, Result<Handled>&& handled, const CallbackSends& sends,
                            std::vector<Action>&& after_commit) {
  if (sends.refused) return ended(Ran::How::refused, *sends.refused);
  if (!handled) {
    const bool may_recover = handled.error().kind() == ErrorKind::internal;
    if (handled.error().kind() == ErrorKind::not_found) {
      return ended(Ran::How::unknown, Error(ErrorKind::unsupported, handled.error().message()));
    }
    return ended(may_recover ? Ran::How::failed : Ran::How::unfit, handled.error());
  }
  Ran ran;
  auto& control = handled->control;
  if (control.next == Next::lock) ran.how = Ran::How::wants_lock;
  if (control.next == Next::stop) ran.stop_reason = std::move(control.stop_reason);
  ran.actions = std::move(control.actions);
  if (SEMPER_MUTANT("server_after_commit_lost")) after_commit.clear();
  if (SEMPER_MUTANT("server_after_commit_behind_the_reply")) ran.actions.swap(after_commit);
  if (!after_commit.empty()) {
    after_commit.insert(after_commit.end(), std::make_move_iterator(ran.actions.begin()),
                        std::make_move_iterator(ran.actions.end()));
    ran.actions = std::move(after_commit);
  }
  if (event != Event::call || !handled->replied) return ran;
  if (handled->error) {
    ran.answer = fail(std::move(*handled->error));
  } else {
    ran.answer = std::move(handled->reply);
  }
  return ran;
}

void CallbackRunner::follow_up(const AfterCommit& after) const {
  const void* state = entity_.state_unchecked();
  for (const auto& actions : after.actions) run_actions(actions, target_.id, state);
  if (!after.stop_reason) return;
  run_terminate(served_.behaviour(), target_.id, state, *after.stop_reason);
  entity_.spoil();
}

void AfterCommit::add(Ran& ran) {
  if (ran.stop_reason) stop_reason = std::move(ran.stop_reason);
  if (!ran.actions.empty()) actions.push_back(std::move(ran.actions));
}

void run_actions(const std::vector<Action>& actions, const EntityId& id, const void* state) {
  for (const auto& action : actions) {
    try {
      if (action.run(state) == ActionFlow::halt) return;
    } catch (...) {
      log_error("server", id.to_string() + ": an action failed: " +
                              exception_error("action", std::current_exception()).message());
    }
  }
}

void run_terminate(Behaviour& behaviour, const EntityId& id, const void* state,
                   const std::string& reason) {
  try {
    behaviour.terminate(state, reason);
  } catch (...) {
    log_error("server", id.to_string() + ": terminate failed: " +
                            exception_error("terminate", std::current_exception()).message());
  }
}

}  // namespace semper::internal
