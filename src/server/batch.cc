#include "batch.h"

#include <algorithm>
#include <utility>

#include "batch_effects.h"
#include "lease.h"
#include "semper/base/log.h"
#include "served_type.h"
#include "slot.h"

namespace semper::internal {
namespace {

// Queue segments read at a time; a batch holds no more messages than HostOptions::batch_messages.
constexpr std::size_t kSegmentsPerBatch = 256;
// Batches after which works that the queue keeps from running join it at its end.
constexpr int kBatchesBeforeQueueing = 3;
// Conflicts in a row after which works are put into the queue.
constexpr int kConflictsBeforeQueueing = 3;

}  // namespace

Batch::Batch(Slot& slot, std::shared_ptr<Desk> desk, std::uint64_t turn,
             std::vector<LocalWork> works, Notice notice)
    : slot_(slot),
      desk_(std::move(desk)),
      entity_(desk_->entity),
      turn_(turn),
      works_(std::move(works)),
      queue_noticed_(notice == Notice::queue) {}

Batch::~Batch() {
  for (auto& work : works_) {
    work.done.set(fail(ErrorKind::outcome_unknown,
                       "the loop that ran the entity was stopped; the message may have been "
                       "processed"));
  }
}

bool Batch::may_run_callbacks() {
  return desk_->in_callbacks.load(std::memory_order_relaxed) ||
         slot_.enter_callbacks(*desk_, turn_);
}

Async<void> Batch::pause(Duration duration) {
  return slot_.pause(desk_, turn_, duration);
}

Task<void> Batch::run() {
  while (true) {
    Result<bool> done = false;
    try {
      done = co_await attempt();
    } catch (...) {
      // Memory that ran out; what callbacks and codecs throw is an error by now.
      entity_.spoil();
      done = fail(exception_error(slot_.target().id.to_string(), std::current_exception()));
    }
    if (done && *done) co_return;
    if (done) continue;
    if (queue_noticed_ && works_.empty()) {
      const std::string what = "the queue of " + slot_.target().id.to_string() + " waits";
      auto& core = slot_.type().core();
      if (is_of_the_store(done.error().kind())) {
        core.trouble.failed(core.clock().now(), what, done.error());
      } else {
        log_warning("server", what + ": " + done.error().to_string());
      }
    }
    for (auto& work : works_) work.done.set_inline(fail(done.error()));
    co_return;
  }
}

Async<bool> Batch::attempt() {
  auto& core = slot_.type().core();
  Effects effects;
  effects.was_known = !must_load_ && !queue_noticed_ && entity_.is_known() &&
                      entity_.queue_length() == 0 && !entity_.header().lock;
  TransactionOptions options;
  if (effects.was_known) options.read_version = entity_.as_of();
  Transaction transaction = core.store().begin(options);
  if (effects.was_known) {
    entity_.assume(transaction);
  } else {
    Slot::leave_callbacks(*desk_);
    const auto ready = co_await load(transaction);
    if (!ready && ready.error().kind() == ErrorKind::conflict) {
      co_return co_await resolve_conflict(effects);
    }
    if (!ready) co_return fail(ready.error());
    if (!*ready) co_return true;
    step_back_for_publishers();
    if (works_.empty() && !queue_noticed_) co_return true;
    SEMPER_CO_TRY(const bool may_run, co_await announce());
    if (!may_run) co_return false;
  }
  if (!may_run_callbacks()) {
    slot_.give_back(std::exchange(works_, {}));
    co_return true;
  }
  execute(transaction, effects);
  Slot::leave_callbacks(*desk_);
  if (effects.failure) co_return co_await resolve_failure(effects);
  if (effects.reroute) {
    // What ran so far in this attempt is dropped and runs again without the work that can not.
    entity_.forget();
    reroute(effects.works_run);
    co_return works_.empty() && !queue_noticed_;
  }
  if (!effects.sends.to_check.empty() || effects.sends.to_itself > effects.popped) {
    const auto full = co_await find_full(transaction, effects);
    if (!full) co_return co_await resolve_error(effects, full.error());
    if (*full) co_return co_await resolve_full(effects, **full);
  }
  if (!effects.replies.empty()) {
    const auto unheard =
        co_await write_replies(transaction, slot_.target().tenant.prefix(), effects.replies);
    if (!unheard) co_return co_await resolve_error(effects, unheard.error());
    keep_unheard(*unheard, effects);
  }
  const Status written = write(transaction, effects);
  if (!written) co_return co_await resolve_refusal(effects, written.error());
  if (transaction.operation_count() == 0) {
    co_return co_await answer_unwritten(effects);
  }
  auto committed = co_await transaction.commit();
  if (!committed) co_return co_await resolve_error(effects, committed.error());
  const bool claimed = effects.was_known || effects.works_run > 0 || effects.vacated;
  const bool exact = core.store().backend().traits().versions_are_commits;
  // What it sent to itself is counted as pushed by this commit.
  entity_.committed(*committed, claimed && exact && effects.sends.to_itself == 0);
  if (effects.lock) effects.lock->fencing_token = committed->version();
  core.counters.transactions.fetch_add(1, std::memory_order_relaxed);
  core.counters.messages.fetch_add(effects.executed, std::memory_order_relaxed);
  co_return finish(effects);
}

// Reads the entity. False: it is locked, or its queue is another host's to consume, and the works
// have been put into the queue.
Async<bool> Batch::load(Transaction& transaction) {
  auto& core = slot_.type().core();
  core.counters.cache_misses.fetch_add(1, std::memory_order_relaxed);
  must_load_ = false;
  const bool was_unreadable = entity_.unreadable().has_value();
  auto loaded = co_await entity_.load(transaction, slot_.type().behaviour(), kSegmentsPerBatch);
  if (!loaded) {
    const Error error = loaded.error();
    if (entity_.unreadable() && !was_unreadable) co_await note_parked(error);
    if (entity_.unreadable() && queue_noticed_) co_await tell_callers_of_parked(error);
    co_return fail(error);
  }
  if (was_unreadable) transaction.clear(slot_.target().keys.parked());
  if (entity_.header().lock) {
    publish_works(slot_.shared_target(), std::move(works_), slot_.type().core().home);
    if (slot_.type().consumes()) LockedTask::attend(slot_.shared_from_this(), std::nullopt);
    co_return false;
  }
  if (!slot_.type().consumes() && entity_.queue_length() > 0) {
    publish_works(slot_.shared_target(), std::move(works_), slot_.type().core().home);
    co_return false;
  }
  co_return true;
}

// Publishers elsewhere can be faster than a commit of this store, and each of their messages costs works
// that run beside the queue their claim on it. In the queue, works conflict with nobody.
void Batch::step_back_for_publishers() {
  auto& memory = *desk_;
  if (entity_.queue_length() == 0) memory.crowded = false;
  const bool hopeless = conflicts_ >= kConflictsBeforeQueueing;
  if (works_.empty() || (!memory.crowded && !hopeless)) return;
  publish_works(slot_.shared_target(), std::exchange(works_, {}), slot_.type().core().home);
}

Status Batch::write(Transaction& transaction, Effects& effects) {
  const auto& keys = slot_.target().keys;
  auto& header = entity_.header();
  for (std::size_t i = 0; i < effects.finished_segments; ++i) {
    transaction.clear(entity_.segments()[i].key);
  }
  if (effects.popped > 0 || effects.lock) entity_.claim_first_segment(transaction);
  header.popped += effects.popped;
  header.head_offset = effects.head_offset;
  if (effects.lock) {
    const auto now = slot_.type().core().clock().wall_time().time_since_epoch();
    header.lock = LockRecord{effects.lock->nonce, slot_.type().core().name,
                             std::chrono::duration_cast<std::chrono::milliseconds>(now).count()};
    const LockRenewal first{1, slot_.type().core().options.lock_lease, 0};
    transaction.set(keys.lock_renewal(), first.encode());
  }
  std::uint16_t letter = 0;
  for (const auto& record : effects.dead_letters) {
    transaction.set_versionstamped_key(keys.dead_letter(letter++), keys.stamp_offset(),
                                       encode_dead_letter(record));
  }
  // The index entry goes with the last message; where publishers are quick, only once the queue was
  // found empty for a while, because every message that comes meanwhile would cost the whole batch.
  const bool empty_now = effects.empties_queue() && !effects.lock;
  const auto& memory = *desk_;
  const bool calm = !memory.contended || (effects.popped == 0 && memory.empty_looks >= kEmptyLooks);
  effects.vacated = empty_now && queue_noticed_ && calm;
  if (effects.vacated) transaction.clear(keys.index());
  const auto& announced = desk_->announced;
  effects.cleared =
      announced && effects.popped > 0 && (effects.drained || header.popped >= announced->until);
  if (effects.cleared) transaction.clear(keys.announcement());
  if (!effects.was_known && (effects.works_run > 0 || effects.vacated)) {
    entity_.claim_queue(transaction);
  }
  if (effects.ran() == 0) return {};
  SEMPER_TRY_STATUS(entity_.save(transaction, slot_.type().behaviour()));
  return {};
}

// Only answers, nothing to write: they hold if what was known still does.
Async<bool> Batch::answer_unwritten(Effects& effects) {
  if (effects.was_known && effects.works_run > 0) {
    Transaction now = slot_.type().core().store().begin();
    SEMPER_CO_TRY(const bool current, co_await entity_.is_current(now));
    if (!current) {
      entity_.forget();
      co_return false;
    }
  }
  slot_.type().core().counters.messages.fetch_add(effects.executed, std::memory_order_relaxed);
  co_return finish(effects);
}

// The attempt has taken effect: answers, actions, and what is left. True: nothing is.
bool Batch::finish(Effects& effects) {
  auto& core = slot_.type().core();
  conflicts_ = 0;
  limit_ = kNoMessageLimit;
  if (effects.popped > 0) {
    auto& memory = *desk_;
    memory.head_failures = 0;
    burial_.reset();
    // Twice as many again, up to what there was before others got in between.
    memory.most = memory.most < core.options.batch_messages ? memory.most * 2 : kNoMessageLimit;
    core.counters.dead_letters.fetch_add(effects.dead_letters.size(), std::memory_order_relaxed);
  }
  if (effects.popped > 0) desk_->empty_looks = 0;
  if (effects.cleared) {
    desk_->announced.reset();
    desk_->cleared_of = desk_->announced_of;
  }
  if (effects.vacated) {
    queue_noticed_ = false;
    desk_->contended = false;
    desk_->empty_looks = 0;
  }
  run_actions(effects);
  if (effects.lock) {
    effects.lock->encoded_state = entity_.encoded();
    // Where the turn is over, whoever runs now finds the lock, and waits for its lease.
    if (slot_.has_turn(turn_)) {
      LockedTask::attend(slot_.shared_from_this(), std::move(effects.lock));
    }
    publish_works(slot_.shared_target(), std::move(works_), slot_.type().core().home);
    return true;
  }
  answer(effects);
  if (!effects.drained && ++undrained_batches_ >= kBatchesBeforeQueueing) {
    publish_works(slot_.shared_target(), std::exchange(works_, {}), slot_.type().core().home);
    undrained_batches_ = 0;
  }
  queue_noticed_ = queue_noticed_ || (slot_.type().consumes() && !effects.empties_queue());
  if (queue_noticed_ && effects.empties_queue() && effects.popped == 0) {
    ++desk_->empty_looks;
  }
  if (!works_.empty()) return false;
  // What waits in the slot has its turn first: where publishers are quick, the queue has no end.
  if (std::exchange(queue_noticed_, false)) slot_.look_again(turn_);
  return true;
}

void Batch::run_actions(Effects& effects) {
  if (effects.actions.empty() && !effects.stop_reason) return;
  if (!may_run_callbacks()) return;
  for (auto& actions : effects.actions) slot_.run_actions(entity_, actions);
  if (effects.stop_reason) slot_.terminate(entity_, *effects.stop_reason);
  Slot::leave_callbacks(*desk_);
}

// Callers on this loop go on now, so that what they send next is in the next batch. Those of others come
// first: what one on this loop does next may block it.
void Batch::answer(Effects& effects) {
  std::vector<OneShot<Result<Bytes>>> done;
  done.reserve(effects.works_run);
  for (std::size_t i = 0; i < effects.works_run; ++i) {
    if (works_[i].loop != desk_->loop) works_[i].done.set(std::move(effects.answers[i]));
    done.push_back(std::move(works_[i].done));
  }
  const auto rest = works_.begin() + static_cast<std::ptrdiff_t>(effects.works_run);
  works_.erase(works_.begin(), rest);
  for (std::size_t i = 0; i < done.size(); ++i) done[i].set_inline(std::move(effects.answers[i]));
}

void Batch::reroute(std::size_t place) {
  const auto work = works_.begin() + static_cast<std::ptrdiff_t>(place);
  std::vector<LocalWork> rerouted;
  rerouted.push_back(std::move(*work));
  works_.erase(work);
  publish_works(slot_.shared_target(), std::move(rerouted), slot_.type().core().home);
}

}  // namespace semper::internal
