// The part of a Batch that runs as one of a group, in a transaction that is not its own (group.h).
#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/store/too_old.h"
#include "server/serve/batch.h"
#include "server/serve/expiry.h"
#include "server/serve/group_limits.h"
#include "server/serve/letters.h"

namespace semper::internal {
namespace {

// Of one entity in a group, read at a time; a longer queue goes on alone.
constexpr std::size_t kSegmentsPerMember = 64;

Error spoilt(const Target& target, const std::string& why) {
  return Error(ErrorKind::conflict, target.id.to_string() + " " + why + "; it is run alone");
}

}  // namespace

Async<bool> Batch::look(Transaction& transaction, AttemptEffects& effects) {
  if (desk_.runs_alone > 0) {
    --desk_.runs_alone;
    co_return false;
  }
  if (entity_.unreadable() || desk_.head_failures > 0 || desk_.most != kNoMessageLimit) {
    co_return false;
  }
  served_.counters().cache_misses.add();
  const auto loaded = co_await entity_.load(transaction, served_.behaviour(), kSegmentsPerMember);
  if (!loaded && (is_too_old(loaded.error()) || is_of_the_store(loaded.error().kind()))) {
    co_return fail(loaded.error());
  }
  if (!loaded) {
    entity_.spoil();  // its own batch meets the same, and says so
    co_return false;
  }
  if (effects.due == nullptr) {
    served_.counters().queue.record(entity_.queue_length());
    co_return suits_group();
  }
  // Where publishers are quick, a tick joins them in the queue: it would lose against them here.
  if (desk_.contended || desk_.crowded || !suits_group()) co_return false;
  co_return co_await look_at_due(transaction, effects);
}

// False: one of them cannot be fired here, or not by this program.
Async<bool> Batch::look_at_due(Transaction& transaction, AttemptEffects& effects) {
  if (!served_.consumes()) co_return false;
  // What waits for hosts that know more is marked for them in the index (left_alone.h).
  if (begins_with_unknown()) co_return false;
  // Its index entry is none of ours where it was not asked for.
  queue_noticed_ = entity_.queue_length() > 0;
  const TimerBook::Place place{transaction, transaction, target_->keys};
  std::size_t count = 0;
  for (const auto& entry : *effects.due) {
    if (++count > kTicksPerLook) break;
    const auto looked = co_await effects.timers.look(place, entry.timer);
    if (!looked && (is_too_old(looked.error()) || is_of_the_store(looked.error().kind()))) {
      co_return fail(looked.error());
    }
    if (!looked) co_return false;
    const auto message = effects.timers.message_of(entry.timer);
    if (message && !served_.behaviour().takes(*message, Event::cast)) co_return false;
    if (entry.timer == kExpiryTimer || effects.timers.is_keyed(entry.timer)) co_return false;
  }
  co_return true;
}

void Batch::vacate(Transaction& transaction) {
  is_member_ = queue_noticed_ && !SEMPER_MUTANT("server_group_vacates_over_a_cast");
  if (is_member_) transaction.clear(target_->keys.index());
}

void Batch::keep_index(Transaction& transaction) {
  if (is_member_) transaction.set(target_->keys.index(), {});
}

Async<bool> Batch::join(Transaction& transaction, AttemptEffects& effects) {
  const Execution execution(served_, *target_, desk_, burial_,
                            std::min(limit(), kGroupMessagesPerEntity));
  SEMPER_CO_TRY_STATUS(co_await execution.look_ahead(transaction, effects));
  if (!may_run_callbacks()) co_return false;
  effects.others_wait = true;  // an entity is removed by a commit of its own
  execution.run(transaction, operations_, effects);
  desk_.leave_callbacks();
  if (effects.unknown && effects.executed == 0) {
    desk_.runs_alone = kRunsAloneAfterTrouble;
    co_return false;  // its own batch leaves it alone
  }
  const bool half = SEMPER_MUTANT("server_failed_message_half_committed") && effects.executed > 0;
  if (effects.ran_for > kGroupCallbackTime) desk_.runs_alone = kRunsAloneAfterTrouble;
  const bool kept = SEMPER_MUTANT("server_group_keeps_who_failed") && effects.failure;
  if ((effects.failure && !half && !kept) || effects.lock) {
    desk_.runs_alone = kRunsAloneAfterTrouble;
    const bool is_of_head = !effects.failure_is_of_tick && !effects.is_unfit;
    if (effects.failure && effects.executed == 0 && is_of_head) {
      FailedRun run = failed_run(effects, false);
      run.next = FailedRun::Next::retry;
      served_.failed(target_->id, run, *effects.failure);
      desk_.head = effects.head;
      desk_.head_failures = 1;
      desk_.head_failed_first_ms = in_milliseconds(core_.clock().wall_time());
    }
    co_return fail(spoilt(*target_, effects.lock ? "takes the lock" : "fails"));
  }
  if (served_.expiry().is_any()) note_activity(effects);
  if (!effects.sends.to_check.empty() || effects.sends.to_itself > effects.popped) {
    SEMPER_CO_TRY(const auto full, co_await find_full(transaction, effects));
    if (full) co_return fail(spoilt(*target_, "sends to a queue that is full"));
  }
  // A row of the group's own commit cannot be read by the next of its entities.
  if (effects.keys.makes_rows()) co_return fail(spoilt(*target_, "has a key without a row"));
  if (effects.has_rows_apart()) {
    const auto written = co_await write_rows_apart(transaction, execution, effects);
    if (!written && written.error().kind() == ErrorKind::exhausted) {
      co_return fail(spoilt(*target_, "is past a bound: " + written.error().message()));
    }
    SEMPER_CO_TRY_STATUS(written);
  }
  SEMPER_CO_TRY_STATUS(write(transaction, effects));
  co_return true;
}

bool Batch::suits_group() {
  if (entity_.header().lock || entity_.hold()) return false;
  if (served_.behaviour().has_waiting_callbacks()) return false;
  if (entity_.queue_length() == 0) desk_.crowded = false;
  if (desk_.announced) return false;
  if (entity_.segments().empty()) return true;
  if (begins_with_expiry()) return false;
  const auto segment = EntityKeys::stamp_in(entity_.segments().front().key);
  if (!segment) return false;
  // What a process may have died of is announced in a commit of its own, before it is run.
  return !core_.suspicion.covers(segment->version(), entity_.as_of()) ||
         desk_.cleared_of == core_.suspicion.number();
}

BatchOutcome Batch::joined(const Versionstamp& committed, AttemptEffects& effects,
                           HasCasts has_casts) {
  may_be_sent_to_ = has_casts == HasCasts::yes;
  conclude(committed, effects);
  return std::move(outcome_);
}

void Batch::not_joined() {
  entity_.spoil();
}

bool Batch::is_known_at(const RecentChanges& changes, Version newest) {
  if (desk_.runs_alone > 0) {
    --desk_.runs_alone;
    return false;
  }
  const bool has_keys =
      std::any_of(operations_.begin(), operations_.end(),
                  [](const Operation& operation) { return operation.key != nullptr; });
  const bool is_usual = !has_keys && !must_load_ && !queue_noticed_ && !desk_.announced &&
                        desk_.most == kNoMessageLimit;
  return is_usual && entity_.is_known() && entity_.queue_length() == 0 && !entity_.header().lock &&
         entity_.is_known_at(changes, newest);
}

// The next message is one that has to say so (expiry.h).
bool Batch::puts_expiry_off() const {
  if (!served_.expiry().is_any() || SEMPER_MUTANT("server_local_group_keeps_nobody_alive")) {
    return false;
  }
  CallbackSends sends;
  const CallbackRunner callbacks(served_, *target_, entity_);
  internal::note_activity(served_.expiry(), desk_, to_timer_ms(callbacks.now(sends)), sends);
  return !sends.timers.empty();
}

Result<bool> Batch::join_known(Transaction& transaction, AttemptEffects& effects) {
  if (puts_expiry_off()) return false;     // with rows of its own
  if (!may_run_callbacks()) return false;  // run() gives its operations back
  effects.was_known = true;
  entity_.assume(transaction);
  const Execution execution(served_, *target_, desk_, burial_, kGroupMessagesPerEntity);
  execution.run(transaction, operations_, effects);
  desk_.leave_callbacks();
  check(effects);
  if (effects.ran_for > kGroupCallbackTime) desk_.runs_alone = kRunsAloneAfterTrouble;
  if (served_.expiry().is_any() && !SEMPER_MUTANT("server_local_group_keeps_nobody_alive")) {
    note_activity(effects);
  }
  // What is read before it is written, or may be refused, is no matter of the others.
  const bool wants_more = effects.has_rows_apart() || !effects.sends.to_check.empty() ||
                          effects.sends.to_itself > effects.popped;
  const bool kept = SEMPER_MUTANT("server_local_group_keeps_who_failed") && effects.failure;
  if ((cannot_be_written(effects) && !kept) || wants_more) {
    desk_.runs_alone = kRunsAloneAfterTrouble;
    return fail(spoilt(*target_, wants_more ? "asks for more than its state" : "fails"));
  }
  const Status written = write(transaction, effects);
  if (written) return true;
  desk_.runs_alone = kRunsAloneAfterTrouble;
  if (SEMPER_MUTANT("server_local_group_blames_all")) return fail(written.error());
  return fail(spoilt(*target_, "cannot be written: " + written.error().message()));
}

Async<bool> Batch::confirm(Transaction& now) {
  co_return co_await entity_.is_current(now);
}

bool Batch::joined_known(const Versionstamp& committed, AttemptEffects& effects, HasCasts has_casts,
                         BatchOutcome& outcome) {
  may_be_sent_to_ = has_casts == HasCasts::yes;
  const bool is_over = conclude(committed, effects);
  may_be_sent_to_ = false;
  if (is_over) outcome = std::move(outcome_);
  return is_over;
}

bool Batch::confirmed(AttemptEffects& effects, BatchOutcome& outcome) {
  if (effects.sends.spans) export_spans(effects.sends, core_.env(), {});
  served_.counters().messages.add(effects.messages());
  const bool is_over = finish(effects);
  if (is_over) outcome = std::move(outcome_);
  return is_over;
}

bool Batch::undo_known(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::conflict:
    case ErrorKind::exhausted:
    case ErrorKind::invalid_argument:
    case ErrorKind::timeout:
      entity_.forget();
      must_load_ = true;
      return false;
    default:
      break;
  }
  entity_.spoil();
  const Error told = error.in(target_->id.to_string());
  for (auto& operation : operations_) operation.done.set_inline(fail(told));
  operations_.clear();
  return true;
}

}  // namespace semper::internal
