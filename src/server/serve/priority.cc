#include "server/serve/priority.h"

#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/store/too_old.h"
#include "server/format/cancelled_casts.h"
#include "server/format/key_book.h"
#include "server/format/timer_book.h"
#include "server/serve/batch.h"
#include "server/serve/callbacks.h"
#include "server/serve/expiry.h"

namespace semper::internal {
namespace {

void note_failure(const ServedBehaviour& served, const Target& target, const Operation& operation,
                  const Error& error) {
  FailedRun run;
  run.message = operation.messages.front().name;
  run.event = operation.event;
  run.how = FailedRun::How::priority;
  run.next = FailedRun::Next::reply;
  served.failed(target.id, run, error);
}

// Error: of the attempt. What the callback answers, an error of its own included, is a value here:
// a conflict among those is no reason to run it again.
Async<Result<Bytes>> attempt(const ServedBehaviour& served, const Target& target, Desk& desk,
                             EntityTurn& turn, const Operation& operation) {
  auto& behaviour = served.behaviour();
  Entity& entity = desk.entity;
  const MonotonicTime began = served.core().clock().now();
  Transaction transaction = served.core().store().begin();
  SEMPER_CO_TRY_STATUS(co_await entity.load(transaction, behaviour, 0));
  if (!turn.enter_callbacks()) co_return fail(ErrorKind::conflict, "the turn is over");
  const CallbackRunner callbacks(served, target, entity);
  CallbackSends sends;
  Ran ran = callbacks.run(transaction, operation.event, operation.messages.front(), {}, sends);
  if (ran.how == Ran::How::waits) {
    ran.lent->chain = operation.chain;
    ran = co_await callbacks.finish(std::move(ran), operation.event, began, sends);
  }
  // Before anything is committed: what is refused has no effect.
  if (ran.error) {
    const bool runs_again = ran.error->kind() == ErrorKind::conflict || is_too_old(*ran.error);
    if (!runs_again) note_failure(served, target, operation, *ran.error);
    entity.forget();
    co_return fail(ran.error->in(target.id.to_string()));
  }
  if (ran.how == Ran::How::wants_lock) {
    entity.forget();
    co_return fail(ErrorKind::unsupported, "a priority message cannot take the lock");
  }
  const bool too_late = SEMPER_MUTANT("server_priority_refused_after_its_commit");
  if (operation.event == Event::call && !ran.answer && !too_late) {
    entity.forget();
    co_return fail(ErrorKind::unsupported, "a priority call cannot be answered later");
  }
  const auto saved = entity.save(transaction, behaviour);
  if (!saved) {
    entity.forget();
    co_return fail(saved.error().in(target.id.to_string()));
  }
  desk.leave_callbacks();
  const bool knew_expiry = knows_expiry(desk);
  if (served.expiry().is_any()) {
    note_activity(served.expiry(), desk, to_timer_ms(callbacks.now(sends)), sends);
  }
  TimerBook timers;
  if (!sends.timers.empty()) {
    const TimerBook::Place place{transaction, transaction, target.keys};
    timers.note(sends.timers, to_timer_ms(callbacks.now(sends)));
    auto settled = co_await timers.settle(place, to_timer_ms(callbacks.now(sends)));
    if (settled && timers.has_cancelled()) {
      const KeyBook::Place keys{transaction, transaction, target.tenant.prefix()};
      settled = co_await forget_cancelled(timers, keys, target.id);
    }
    if (!settled) {
      entity.forget();
      co_return fail(settled.error().in(target.id.to_string()));
    }
  }
  if (!sends.keyed_answers.empty()) {
    KeyBook keys;
    const KeyBook::Place place{transaction, transaction, target.tenant.prefix()};
    const std::int64_t now = to_timer_ms(callbacks.now(sends));
    std::vector<OutgoingReply> replies;
    auto answered = co_await keys.answer(place, sends.keyed_answers, now, replies);
    if (answered) {
      const auto written = co_await write_replies(transaction, place.tenant_prefix, replies);
      if (!written) answered = fail(written.error());
    }
    if (!answered) {
      entity.forget();
      co_return fail(answered.error());
    }
    keys.settle(transaction, place.tenant_prefix);
  }
  std::optional<MonotonicTime> commit_began;
  if (transaction.operation_count() > 0) {
    if (sends.spans) commit_began = served.core().clock().now();
    auto committed = co_await transaction.commit();
    if (!committed) {
      entity.forget();
      co_return fail(committed.error());
    }
    entity.committed(*committed, false);
    if (served.expiry().is_any()) learn_expiry(desk, timers, knew_expiry);
  }
  if (too_late && operation.event == Event::call && !ran.answer) {
    co_return fail(ErrorKind::unsupported, "a priority call cannot be answered later");
  }
  if (SEMPER_MUTANT("server_priority_conflict_of_its_own_runs_again") && ran.answer &&
      !*ran.answer) {
    co_return fail(ran.answer->error());
  }
  export_spans(sends, served.core().env(), commit_began);
  AfterCommit after;
  after.add(ran);
  if (!after.is_nothing() && turn.enter_callbacks()) callbacks.follow_up(after);
  Result<Bytes> answer = ran.answer ? std::move(*ran.answer) : Result<Bytes>(Bytes());
  co_return Result<Result<Bytes>>(tl::in_place, std::move(answer));
}

}  // namespace

Task<bool> run_priority(const ServedBehaviour& served, const Target& target, Desk& desk,
                        EntityTurn& turn, Operation& operation) {
  Result<Result<Bytes>> result = fail(ErrorKind::conflict, "");
  int too_old = 0;
  for (int i = 0; i < kConflictAttempts; ++i) {
    try {
      result = co_await attempt(served, target, desk, turn, operation);
    } catch (...) {
      desk.entity.spoil();
      result = fail(exception_error(target.id.to_string(), std::current_exception()));
    }
    desk.leave_callbacks();
    if (result) break;
    const bool was_too_old = is_too_old(result.error());
    if (was_too_old && ++too_old == kTooOldAttempts) break;
    if (!was_too_old && result.error().kind() != ErrorKind::conflict) break;
    if (!turn.lasts()) co_return false;
  }
  auto done = std::move(operation.done);
  done.set_inline(result ? std::move(*result) : Result<Bytes>(fail(result.error())));
  co_return true;
}

}  // namespace semper::internal
