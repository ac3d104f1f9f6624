#include "server/serve/batch.h"

#include <algorithm>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/store/too_old.h"
#include "server/format/enqueue.h"
#include "server/format/lease.h"
#include "server/format/orders.h"
#include "server/serve/expiry.h"
#include "server/serve/full_queues.h"
#include "server/serve/letters.h"

namespace semper::internal {
namespace {

// Queue segments read at a time; a batch holds no more messages than HostOptions::batch_messages.
constexpr std::size_t kSegmentsPerBatch = 256;
// Batches after which operations that the queue keeps from running join it at its end.
constexpr int kBatchesBeforeQueueing = 3;
// Conflicts in a row after which operations are put into the queue.
constexpr int kConflictsBeforeQueueing = 3;

bool have_keys(const std::vector<Operation>& operations) {
  return std::any_of(operations.begin(), operations.end(),
                     [](const Operation& operation) { return operation.key != nullptr; });
}

// The first messages of the queue are over a limit.
void begin_refusing(const ServedBehaviour& served, const EntityId& id,
                    const Throttle::Refusal& refusal, AttemptEffects& effects) {
  effects.to_refuse = refusal.count;
  effects.over_limit = served.throttle()->over_limit(id, refusal.what);
}

}  // namespace

Batch::Batch(const ServedBehaviour& served, const std::shared_ptr<const Target>& target, Desk& desk,
             EntityTurn& turn, std::vector<Operation> operations, Notice notice)
    : served_(served),
      core_(served.core()),
      target_(target),
      desk_(desk),
      entity_(desk.entity),
      turn_(turn),
      operations_(std::move(operations)),
      queue_noticed_(notice == Notice::queue) {}

Batch::~Batch() {
  give_tokens_back();
  for (auto& operation : operations_) {
    operation.done.set(fail(ErrorKind::outcome_unknown,
                            "the loop that ran the entity was stopped; the message may have been "
                            "processed"));
  }
}

bool Batch::may_run_callbacks() {
  return desk_.in_callbacks.load(std::memory_order_relaxed) || turn_.enter_callbacks();
}

std::size_t Batch::limit() const {
  const std::size_t most = std::min(limit_, desk_.most);
  if (refusal_.count > 0) return std::min<std::size_t>(most, refusal_.count);
  return served_.has_rate() ? std::min<std::size_t>(most, tokens_.count) : most;
}

Task<BatchOutcome> Batch::run() {
  while (true) {
    Result<bool> done = false;
    try {
      done = co_await attempt();
    } catch (...) {
      // Memory that ran out; what callbacks and codecs throw is an error by now.
      entity_.spoil();
      done = fail(exception_error(target_->id.to_string(), std::current_exception()));
    }
    if (done && *done) {
      SEMPER_ASSERT(operations_.empty(), "each operation was answered, sent on or given back");
      co_return std::move(outcome_);
    }
    if (done) continue;
    if (is_too_old(done.error()) && ++too_old_ < kTooOldAttempts) {
      entity_.spoil();
      must_load_ = true;
      continue;
    }
    if (queue_noticed_ && operations_.empty()) {
      const std::string what = "the queue of " + target_->id.to_string() + " waits";
      if (is_of_the_store(done.error().kind())) {
        core_.trouble.failed(core_.clock().now(), what, done.error());
      } else {
        log_warning("server", what + ": " + done.error().to_string());
      }
    }
    for (auto& operation : operations_) operation.done.set(fail(done.error()));
    co_return std::move(outcome_);
  }
}

// From its header as this host knows it, where nobody has changed it since; else from what is
// stored.
Transaction Batch::begin(bool waits, bool has_keys, AttemptEffects& effects) {
  effects.was_known = !waits && !has_keys && !must_load_ && !queue_noticed_ && entity_.is_known() &&
                      entity_.queue_length() == 0 && !entity_.header().lock;
  TransactionOptions options;
  if (effects.was_known) options.read_version = entity_.as_of();
  Transaction transaction = core_.store().begin(options);
  if (effects.was_known) entity_.assume(transaction);
  return transaction;
}

Async<Batch::MayRun> Batch::prepare(Transaction& transaction, const AttemptEffects& effects) {
  desk_.leave_callbacks();
  const auto ready = co_await load(transaction);
  if (!ready && ready.error().kind() == ErrorKind::conflict) {
    SEMPER_CO_TRY(const bool is_over, co_await resolve_conflict(effects));
    co_return is_over ? MayRun::not_now : MayRun::again;
  }
  if (!ready) co_return fail(ready.error());
  if (!*ready) co_return MayRun::not_now;
  if (entity_.hold()) {
    SEMPER_CO_TRY(const bool has_waited, co_await let_by(transaction));
    if (has_waited) co_return MayRun::again;
  }
  step_back_for_publishers();
  if (operations_.empty() && !queue_noticed_) co_return MayRun::not_now;
  if (served_.refuses()) look_for_refusal();
  if (served_.has_rate() && waits_for_tokens()) co_return MayRun::not_now;
  SEMPER_CO_TRY(const MayRun may_run, co_await announce());
  if (may_run != MayRun::overtaken) co_return may_run;
  if (SEMPER_MUTANT("server_announcement_lost_without_a_bound")) co_return MayRun::again;
  SEMPER_CO_TRY(const bool is_over, co_await resolve_conflict(effects));
  co_return is_over ? MayRun::not_now : MayRun::again;
}

Async<void> Batch::finish_waiting(Transaction& transaction, const Execution& execution,
                                  MonotonicTime began, AttemptEffects& effects) {
  while (effects.waiting) {
    Ran ran = co_await execution.finish(began, effects);
    execution.resume(transaction, operations_, std::move(ran), effects);
  }
  co_return Status{};
}

bool Batch::cannot_be_written(const AttemptEffects& effects) const {
  const bool half = SEMPER_MUTANT("server_failed_message_half_committed") && effects.executed > 0;
  return (effects.failure && !half) || (effects.unknown && effects.executed == 0) ||
         effects.reroute || effects.popped > entity_.queue_length();
}

Async<bool> Batch::resolve_unwritable(AttemptEffects& effects) {
  if (effects.failure && is_too_old(*effects.failure)) {
    entity_.spoil();
    co_return fail(*effects.failure);
  }
  if (effects.failure) co_return co_await resolve_failure(effects);
  if (effects.unknown && effects.executed == 0) co_return co_await leave_message(effects);
  if (effects.popped > entity_.queue_length()) {
    const std::string counted = std::to_string(entity_.queue_length());
    entity_.spoil();
    co_return fail(
        ErrorKind::corrupt,
        target_->id.to_string() + ": the queue holds more messages than were counted, " + counted);
  }
  SEMPER_ASSERT(effects.operations_run < operations_.size(), "an operation is sent to the queue");
  // What ran so far in this attempt is dropped and runs again without the one that cannot.
  entity_.forget();
  reroute(effects.operations_run);
  co_return operations_.empty() && !queue_noticed_;
}

// What must agree when the callbacks have run, and again when what they came to is committed.
void Batch::check(const AttemptEffects& effects) const {
  SEMPER_ASSERT(effects.operations_run <= operations_.size(), "what ran was asked for");
  SEMPER_ASSERT(effects.answers.size() == effects.operations_run,
                "each operation that ran has its answer");
  SEMPER_ASSERT(effects.dead_letters.size() <= kLettersPerBatch, "each letter has a number");
}

void Batch::follow_up_too_early(AttemptEffects& effects) {
  if (SEMPER_MUTANT("server_reply_before_commit")) {
    for (std::size_t i = 0; i < effects.operations_run; ++i) {
      operations_[i].done.set(effects.answers[i]);
    }
  }
  if (SEMPER_MUTANT("server_action_before_commit")) follow_up(effects);
}

// In stages: begin; prepare, where the entity is not known; callbacks; write; commit; conclude.
Async<bool> Batch::attempt() {
  AttemptEffects effects;
  // What waits may read, which an attempt that begins in the past cannot.
  const bool waits = served_.behaviour().has_waiting_callbacks() &&
                     !SEMPER_MUTANT("server_waiting_attempt_begins_in_the_past");
  const MonotonicTime began = waits ? core_.clock().now() : MonotonicTime();
  const bool has_keys = have_keys(operations_);
  Transaction transaction = begin(waits, has_keys, effects);
  if (!effects.was_known) {
    SEMPER_CO_TRY(const MayRun may_run, co_await prepare(transaction, effects));
    if (may_run != MayRun::yes) co_return may_run == MayRun::not_now;
  }
  const Execution execution(served_, *target_, desk_, burial_, limit());
  if (!effects.was_known && served_.consumes()) {
    SEMPER_CO_TRY_STATUS(co_await execution.look_ahead(transaction, effects));
  }
  if (has_keys) {
    SEMPER_CO_TRY_STATUS(co_await execution.look_at_keys(transaction, operations_, effects));
  }
  if (!may_run_callbacks()) {
    outcome_.undone = std::exchange(operations_, {});
    co_return true;
  }
  if (served_.has_rate() && are_tokens_late()) {
    desk_.leave_callbacks();
    entity_.forget();
    must_load_ = true;
    co_return false;
  }
  effects.others_wait = !operations_.empty();
  if (refusal_.count > 0) begin_refusing(served_, target_->id, refusal_, effects);
  execution.run(transaction, operations_, effects);
  if (effects.waiting) {
    SEMPER_CO_TRY_STATUS(co_await finish_waiting(transaction, execution, began, effects));
  }
  desk_.leave_callbacks();
  check(effects);
  if (cannot_be_written(effects)) co_return co_await resolve_unwritable(effects);
  if (effects.lock && served_.has_places()) {
    const auto taken = co_await take_place(transaction);
    if (!taken) co_return co_await resolve_error(effects, taken.error());
    if (!*taken) co_return wait_for_place(effects);
  }
  if (served_.expiry().is_any()) note_activity(effects);
  if (!effects.sends.to_check.empty() || effects.sends.to_itself > effects.popped) {
    const auto full = co_await find_full(transaction, effects);
    if (!full) co_return co_await resolve_error(effects, full.error());
    if (*full) co_return co_await resolve_full(effects, **full);
  }
  if (effects.has_rows_apart()) {
    const auto written = co_await write_rows_apart(transaction, execution, effects);
    if (!written) co_return co_await resolve_error(effects, written.error());
  }
  if (effects.expires) {
    const auto ordered = co_await expire(transaction);
    if (!ordered) co_return co_await resolve_error(effects, ordered.error());
  }
  const Status written = write(transaction, effects);
  if (!written) co_return co_await resolve_refusal(effects, written.error());
  if (transaction.operation_count() == 0) {
    co_return co_await answer_unwritten(effects);
  }
  follow_up_too_early(effects);
  if (effects.sends.spans) effects.commit_began = core_.clock().now();
  auto committed = co_await transaction.commit();
  if (!committed) co_return co_await resolve_error(effects, committed.error());
  served_.counters().transactions.add();
  co_return conclude(*committed, effects);
}

void Batch::note_activity(AttemptEffects& effects) {
  effects.knew_expiry = knows_expiry(desk_);
  const bool begins = effects.ran() > 0 && !entity_.has_state();
  if (effects.expires || (!effects.is_active && !begins)) return;
  const CallbackRunner callbacks(served_, *target_, entity_);
  const std::int64_t now = to_timer_ms(callbacks.now(effects.sends));
  internal::note_activity(served_.expiry(), desk_, now, effects.sends);
}

// Whoever sends meanwhile conflicts, and what he sends then is later than the order.
Async<void> Batch::expire(Transaction& transaction) {
  if (!SEMPER_MUTANT("server_expiry_loses_what_comes")) entity_.claim_queue(transaction);
  SEMPER_CO_TRY_STATUS(co_await order_kill(transaction, *target_));
  co_return Status{};
}

// The attempt has been committed. True: nothing is left to do.
bool Batch::conclude(const Versionstamp& committed, AttemptEffects& effects) {
  if (effects.sends.spans) export_spans(effects.sends, core_.env(), effects.commit_began);
  const bool claimed = effects.was_known || effects.claims_queue();
  const bool exact = core_.store().backend().traits().versions_are_commits;
  // What it sent to itself is counted as pushed by this commit.
  const bool sent_to_itself =
      may_be_sent_to_ ||
      (effects.sends.to_itself > 0 && !SEMPER_MUTANT("server_self_cast_overtaken_by_local_call"));
  entity_.committed(committed, claimed && exact && !sent_to_itself);
  if (served_.has_rate()) spend_tokens(effects.ran());
  refusal_ = {};
  if (std::exchange(clears_limit_note_, false)) served_.throttle()->forget_note(target_->id.id);
  if (effects.lock && served_.has_places()) served_.throttle()->came(target_->id);
  if (served_.expiry().is_any()) learn_expiry(desk_, effects.timers, effects.knew_expiry);
  if (effects.vacated && exact && !sent_to_itself) outcome_.vacated_at = committed.version();
  if (effects.lock) effects.lock->fencing_token = committed.version();
  served_.counters().messages.add(effects.messages());
  const bool is_done = finish(effects);
  if (effects.expires) {
    entity_.spoil();
    served_.counters().expired.add();
  }
  return is_done;
}

// Reads the entity. False: it is locked, or its queue is another host's to consume, and the
// operations have been put into the queue.
Async<bool> Batch::load(Transaction& transaction) {
  served_.counters().cache_misses.add();
  must_load_ = false;
  const bool was_unreadable = entity_.unreadable().has_value();
  auto loaded = co_await entity_.load(transaction, served_.behaviour(), kSegmentsPerBatch);
  if (!loaded) {
    const Error error = loaded.error();
    if (entity_.needs() && error.kind() == ErrorKind::unsupported) {
      co_await leave_state(error);
      co_return false;
    }
    if (entity_.unreadable()) note_head();
    if (entity_.unreadable() && !was_unreadable) co_await note_parked(error);
    if (entity_.unreadable() && queue_noticed_) co_await tell_callers_of_parked(error);
    co_return fail(error);
  }
  if (was_unreadable) transaction.clear(target_->keys.parked());
  if (queue_noticed_) served_.counters().queue.record(entity_.queue_length());
  note_head();
  if (entity_.header().lock) {
    SEMPER_CO_TRY(const bool is_left, co_await leave_lock());
    reroute_all();
    if (is_left) co_return false;
    outcome_.is_locked_by_others = served_.consumes();
    co_return false;
  }
  if (!served_.consumes() && entity_.queue_length() > 0) {
    reroute_all();
    co_return false;
  }
  co_return true;
}

void Batch::note_head() {
  const auto& segments = entity_.segments();
  if (segments.empty()) return served_.heads().gone(target_->id.id);
  const auto stamp = EntityKeys::stamp_in(segments.front().key);
  if (stamp) served_.heads().look(target_->id.id, stamp->version(), core_.clock().now());
}

// One that was not read is looked at next.
void Batch::note_head(const AttemptEffects& effects) {
  if (effects.popped == 0 || effects.lock) return;
  const auto& segments = entity_.segments();
  if (effects.finished_segments >= segments.size()) return served_.heads().gone(target_->id.id);
  const auto stamp = EntityKeys::stamp_in(segments[effects.finished_segments].key);
  if (stamp) served_.heads().look(target_->id.id, stamp->version(), core_.clock().now());
}

Async<bool> Batch::let_by(Transaction& transaction) {
  // A host that stops waits for nobody.
  if (!turn_.lasts() || core_.stopping.stop_requested()) co_return false;
  if (!desk_.hold.stands(entity_.hold(), core_.clock().now())) {
    transaction.clear(target_->keys.order());
    co_return false;
  }
  SEMPER_CO_TRY_STATUS(co_await turn_.pause(kHoldLook));
  must_load_ = true;
  co_return true;
}

// Publishers elsewhere can be faster than a commit of this store, and each of their messages costs
// operations that run beside the queue their claim on it. In the queue they conflict with nobody.
void Batch::step_back_for_publishers() {
  auto& memory = desk_;
  if (entity_.queue_length() == 0) memory.crowded = false;
  const bool hopeless = conflicts_ >= kConflictsBeforeQueueing;
  if (operations_.empty() || (!memory.crowded && !hopeless)) return;
  reroute_all();
}

Async<std::optional<EntityId>> Batch::find_full(Transaction& transaction,
                                                const AttemptEffects& effects) {
  const std::uint64_t taken = std::min<std::uint64_t>(effects.popped, entity_.queue_length());
  return find_full_queue(core_, *target_, transaction, effects.sends,
                         entity_.queue_length() - taken);
}

Async<void> Batch::write_rows_apart(Transaction& transaction, const Execution& execution,
                                    AttemptEffects& effects) {
  if (effects.uses_timers()) {
    SEMPER_CO_TRY_STATUS(co_await execution.settle_timers(transaction, effects));
  }
  if (effects.uses_keys()) {
    SEMPER_CO_TRY_STATUS(co_await execution.settle_keys(transaction, effects));
  }
  if (!effects.replies.empty()) {
    SEMPER_CO_TRY(const auto unheard,
                  co_await write_replies(transaction, target_->tenant.prefix(), effects.replies));
    execution.keep_unheard(unheard, effects);
  }
  if (!effects.dead_letters.empty() && served_.letters().has_bounds()) {
    SEMPER_CO_TRY_STATUS(co_await reap_letters(transaction, *target_, served_.letters(),
                                               effects.dead_letters.size(),
                                               core_.clock().wall_time()));
  }
  co_return Status{};
}

Status Batch::write(Transaction& transaction, AttemptEffects& effects) {
  if (effects.expires) return {};  // nothing of it is left
  const auto& keys = target_->keys;
  auto& header = entity_.header();
  if (SEMPER_MUTANT("server_state_without_queue_removal") && effects.popped == 1) {
    effects.popped = 0;
    effects.finished_segments = 0;
    effects.head_offset = header.head_offset;
  }
  SEMPER_ASSERT(effects.finished_segments <= entity_.segments().size(),
                "no more segments are done than were read");
  for (std::size_t i = 0; i < effects.finished_segments; ++i) {
    transaction.clear(entity_.segments()[i].key);
  }
  if (effects.popped > 0 || effects.lock) entity_.claim_first_segment(transaction);
  header.popped += effects.popped;
  header.head_offset = effects.head_offset;
  if (effects.lock) {
    const auto now = core_.clock().wall_time().time_since_epoch();
    header.lock = LockRecord{effects.lock->nonce, core_.name,
                             std::chrono::duration_cast<std::chrono::milliseconds>(now).count()};
    const LockRenewal first{1, core_.options.lock_lease, 0};
    transaction.set(keys.lock_renewal(), first.encode());
  }
  std::size_t letter = 0;
  for (const auto& record : effects.dead_letters) {
    transaction.set_versionstamped_key(keys.dead_letter(static_cast<std::uint16_t>(letter++)),
                                       keys.stamp_offset(), encode_dead_letter(record));
    static int letters_of_all = 0;  // each second one, or it would never end
    if (SEMPER_MUTANT("server_dead_letter_stays_queued") && ++letters_of_all % 2 == 1) {
      Enqueuer again(transaction, effects.sends.segments++);
      again.to(keys);
      again.add(record.message.event, record.message.content, record.message.caller);
      again.finish();
    }
  }
  // The index entry goes with the last message; where publishers are quick, only once the queue was
  // found empty for a while, because every message that comes meanwhile would cost the whole batch.
  const bool empties = SEMPER_MUTANT("server_index_entry_cleared_beside_self_cast")
                           ? effects.drained
                           : effects.empties_queue();
  const bool empty_now = empties && !effects.lock;
  const auto& memory = desk_;
  const bool calm = !memory.contended || (effects.popped == 0 && memory.empty_looks >= kEmptyLooks);
  effects.vacated = empty_now && queue_noticed_ && calm;
  if (effects.vacated && !is_member_) transaction.clear(keys.index());
  const auto& announced = desk_.announced;
  effects.cleared =
      announced && effects.popped > 0 && (effects.drained || header.popped >= announced->until);
  if (desk_.has_noted_failure && (effects.popped > 0 || effects.lock)) {
    transaction.clear(keys.failures());
  }
  clears_limit_note_ = served_.throttle() != nullptr && (effects.popped > 0 || effects.lock) &&
                       served_.throttle()->is_noted(target_->id.id);
  if (clears_limit_note_) transaction.clear(keys.limit_note());
  // A run that ended in the lock was survived, too; its holders are counted with the lock.
  if (effects.cleared || (announced && effects.lock)) transaction.clear(keys.announcement());
  const bool claims =
      effects.claims_queue() &&
      (effects.ticks_run == 0 || !SEMPER_MUTANT("server_timer_tick_claims_no_queue"));
  if (!effects.was_known && claims) {
    entity_.claim_queue(transaction);
  }
  if (effects.ran() == 0) return {};
  SEMPER_TRY_STATUS(entity_.save(transaction, served_.behaviour()));
  return {};
}

// Only answers, nothing to write: they hold if what was known still does.
Async<bool> Batch::answer_unwritten(AttemptEffects& effects) {
  if (effects.was_known && effects.operations_run > 0) {
    Transaction now = core_.store().begin();
    SEMPER_CO_TRY(const bool current, co_await entity_.is_current(now));
    if (!current) {
      entity_.forget();
      co_return false;
    }
  }
  if (effects.sends.spans) export_spans(effects.sends, core_.env(), {});
  served_.counters().messages.add(effects.messages());
  co_return finish(effects);
}

// The attempt has taken effect: answers, actions, and what is left. True: nothing is.
bool Batch::finish(AttemptEffects& effects) {
  conflicts_ = 0;
  too_old_ = 0;
  limit_ = kNoMessageLimit;
  if (effects.executed > 0) {
    served_.counters().batch.record(effects.executed);
    served_.counters().callbacks.record(effects.ran_for);
  }
  if (effects.popped > 0) {
    auto& memory = desk_;
    memory.head_failures = 0;
    memory.head_failed_first_ms = 0;
    burial_.reset();
    // Twice as many again, up to what there was before others got in between.
    memory.most = memory.most < core_.options.batch_messages ? memory.most * 2 : kNoMessageLimit;
  }
  served_.counters().dead_letters.add(effects.dead_letters.size());
  note_head(effects);
  if (effects.popped > 0) desk_.empty_looks = 0;
  if (effects.popped > 0 || effects.lock) desk_.has_noted_failure = false;
  if (effects.popped > 0 && !served_.left_alone().is_empty()) {
    served_.left_alone().forget(target_->id.id);
  }
  if (effects.cleared) {
    desk_.announced.reset();
    desk_.cleared_of = desk_.announced_of;
  } else if (effects.lock) {
    desk_.announced.reset();  // what waits behind it is still suspected
  }
  if (effects.vacated) {
    queue_noticed_ = false;
    desk_.contended = false;
    desk_.empty_looks = 0;
  }
  if (!SEMPER_MUTANT("server_action_before_commit")) follow_up(effects);
  if (SEMPER_MUTANT("server_action_twice")) follow_up(effects);
  if (effects.lock) {
    effects.lock->encoded_state = entity_.encoded();
    effects.lock->state_version = entity_.header().state_version;
    outcome_.lock = std::make_unique<HeldLock>(std::move(*effects.lock));
    reroute_all();
    return true;
  }
  answer(effects);
  if (!effects.drained && ++undrained_batches_ >= kBatchesBeforeQueueing) {
    reroute_all();
    undrained_batches_ = 0;
  }
  const bool leaves_some = SEMPER_MUTANT("server_self_cast_overtaken_by_local_call")
                               ? !effects.drained
                               : !effects.empties_queue();
  // What it held is removed at the next look.
  queue_noticed_ = queue_noticed_ || effects.expires || (served_.consumes() && leaves_some);
  if (queue_noticed_ && effects.empties_queue() && effects.popped == 0) {
    ++desk_.empty_looks;
  }
  if (!operations_.empty()) return false;
  // What waits elsewhere has its turn first: where publishers are quick, the queue has no end.
  outcome_.look_again = std::exchange(queue_noticed_, false);
  return true;
}

void Batch::follow_up(AttemptEffects& effects) {
  if (effects.after.is_nothing() || !may_run_callbacks()) return;
  CallbackRunner(served_, *target_, entity_).follow_up(effects.after);
  desk_.leave_callbacks();
}

// Callers on this loop go on now, so that what they send next is in the next batch. Those of others
// come first: what one on this loop does next may block it.
void Batch::answer(AttemptEffects& effects) {
  check(effects);
  std::vector<OneShot<Result<Bytes>>> done;
  done.reserve(effects.operations_run);
  for (std::size_t i = 0; i < effects.operations_run; ++i) {
    if (operations_[i].loop != desk_.loop) operations_[i].done.set(std::move(effects.answers[i]));
    done.push_back(std::move(operations_[i].done));
  }
  const auto rest = operations_.begin() + static_cast<std::ptrdiff_t>(effects.operations_run);
  operations_.erase(operations_.begin(), rest);
  if (SEMPER_MUTANT("server_answers_swapped") && done.size() > 1) std::swap(done[0], done[1]);
  for (std::size_t i = 0; i < done.size(); ++i) done[i].set_inline(std::move(effects.answers[i]));
}

void Batch::reroute(std::size_t place) {
  const auto operation = operations_.begin() + static_cast<std::ptrdiff_t>(place);
  std::vector<Operation> rerouted;
  rerouted.push_back(std::move(*operation));
  operations_.erase(operation);
  enqueue_operations(core_.publishers, target_, std::move(rerouted), core_.home);
}

void Batch::reroute_all() {
  enqueue_operations(core_.publishers, target_, std::exchange(operations_, {}), core_.home);
}

}  // namespace semper::internal
