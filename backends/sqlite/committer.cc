#include "committer.h"

#include <algorithm>
#include <utility>

#include "hold.h"
#include "log_chain.h"
#include "log_readers.h"
#include "place.h"
#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "start_thread.h"

namespace semper::sqlite {
namespace {

std::int64_t microseconds(Duration span) {
  return std::chrono::duration_cast<std::chrono::microseconds>(span).count();
}

std::size_t size_of(const CommitRequest& request) {
  std::size_t bytes = sizeof request;
  for (const auto& mutation : request.mutations) {
    bytes += sizeof mutation + mutation.key.size() + mutation.value.size();
  }
  for (const auto& read : request.reads) {
    bytes += sizeof read + read.range.begin.size() + read.range.end.size();
  }
  return bytes;
}

// Waiting for readers: a moment where there is no hurry; past the hard bound as long as it takes
// for every snapshot to reach kPressedSnapshotAge, twice (what is opened in place of one that was
// taken away keeps what was not copied until then), and a second more.
constexpr int kRestartWaitMs = 2;
constexpr int kPressedWaitMs = 50;
constexpr int kPressedAttempts =
    static_cast<int>((2 * kPressedSnapshotAge + std::chrono::seconds(1)) /
                     std::chrono::milliseconds(kPressedWaitMs));

}  // namespace

Committer::Committer(Context context, std::unique_ptr<Writer> writer)
    : context_(std::move(context)), turn_(*context_.sidecar) {
  use(std::move(writer));
}

Committer::~Committer() {
  SEMPER_ASSERT(!thread_.joinable(), "a committer is stopped before it goes");
}

Status Committer::start() {
  return start_thread(thread_, "semper-commit", [this] { run(); });
}

void Committer::finish_queue() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Committer::fail_for_good(const Error& error) {
  std::lock_guard lock(mutex_);
  if (!failed_) failed_ = error;
}

std::optional<Error> Committer::failure() const {
  std::lock_guard lock(mutex_);
  return failed_;
}

Async<CommitReceipt> Committer::commit(CommitRequest request, Version floor) {
  const auto pending = std::make_shared<Pending>();
  pending->floor = floor;
  pending->bytes = size_of(request);
  pending->request = std::move(request);
  SEMPER_CO_TRY_STATUS(enqueue(pending));
  auto answer = co_await pending->done.wait();
  if (answer) co_return *answer;
  co_return fail(ErrorKind::outcome_unknown,
                 "the caller was cancelled while its commit was under way: it is applied wholly or "
                 "not at all");
}

void Committer::check() const {
  SEMPER_ASSERT(queue_.size() <= kQueueRequests, "the queue has a bound");
  SEMPER_ASSERT(!queue_.empty() || queue_bytes_ == 0, "what is taken is no longer counted");
}

Status Committer::enqueue(std::shared_ptr<Pending> pending) {
  {
    std::lock_guard lock(mutex_);
    if (failed_) return fail(*failed_);
    if (stopping_) return fail(ErrorKind::closed, "the store is closed");
    if (queue_.size() >= kQueueRequests || queue_bytes_ >= kQueueBytes) {
      return fail(
          ErrorKind::retry, Limit{"kQueueRequests", kQueueRequests},
          std::to_string(queue_.size()) + " commits wait already; try again later, or slow down");
    }
    queue_bytes_ += pending->bytes;
    queue_.push_back(std::move(pending));
    check();
    if (!sleeping_) return {};
    sleeping_ = false;
  }
  work_.notify_one();
  return {};
}

void Committer::run() {
  while (wait_for_work()) take_turn();
}

bool Committer::wait_for_work() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (find_out_ || !unsettled_.empty() || !queue_.empty()) return true;
    if (stopping_) return false;
    sleeping_ = true;
    work_.wait(lock);
    sleeping_ = false;
  }
}

Committer::Batch Committer::take_batch() {
  Batch batch;
  std::lock_guard lock(mutex_);
  batch.reserve(std::min(queue_.size(), kBatchRequests));
  std::size_t bytes = 0;
  while (!queue_.empty() && batch.size() < kBatchRequests &&
         (batch.empty() || bytes + queue_.front()->bytes <= kBatchBytes)) {
    bytes += queue_.front()->bytes;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  queue_bytes_ -= bytes;
  check();
  return batch;
}

void Committer::take_turn() {
  const auto asked = context_.clock->now();
  const auto turn = turn_.acquire();
  Statistics::add(context_.statistics->turn_wait_us, microseconds(context_.clock->now() - asked));
  Written written{take_batch(), {}, 0};
  if (!turn) {
    answer_all(written.batch, turn.error());
    deliver(written.batch);
    return give_up_if_stopping();
  }
  if (SEMPER_MUTANT("sqlite_acknowledged_before_commit")) {
    for (auto& pending : written.batch)
      pending->done.set(CommitReceipt{context_.sidecar->version() + 1, 0});
  }
  // It may have committed, and not have said so to those who watch.
  if (*turn == Turn::Kind::after_a_death) context_.hub->on_unknown_commit();
  settle_rest();
  if (!written.batch.empty()) commit_batch(written.batch);
  written.mark = std::exchange(written_, {});
  if (written.mark.version != 0 && writer_) written.log_bytes = writer_->wal_bytes();
  if (writer_ && !lost_ && wants_wal()) {
    flush(written);
    settle_rest();
    if (writer_ && !context_.log->has_failed()) look_after_wal();
    return turn_.release();
  }
  turn_.release();
  flush(written);
}

void Committer::flush(Written& written) {
  if (written.mark.version == 0) return deliver(written.batch);  // nothing was written
  const auto state = context_.log->flush(written.mark);
  const bool is_long_enough = size_of_log(*context_.options) >= written.log_bytes;
  if (is_settled(state) && is_long_enough) return answer(written, state);
  std::lock_guard lock(mutex_);
  unsettled_.push_back(std::move(written));
}

// Whether a batch can be answered. Where not, more has to be found out, for which it takes the
// turn.
bool Committer::is_settled(LogSync::State state) const {
  return state != LogSync::State::written && context_.options->place->is_store_in_place();
}

// Requests that were committed one by one need not share the fate of the last one.
LogSync::State Committer::fate_of(const Pending& pending, LogSync::State of_the_last) const {
  if (of_the_last == LogSync::State::unknown || pending.mark.version == 0) return of_the_last;
  if (SEMPER_MUTANT("sqlite_one_fate_for_all")) return of_the_last;
  return context_.log->look(pending.mark);
}

void Committer::answer(Written& written, LogSync::State state) {
  for (auto& pending : written.batch) {
    if (!pending->answer) continue;
    const auto own = fate_of(*pending, state);
    if (own == LogSync::State::durable) continue;
    if (own == LogSync::State::lost) {
      pending->answer = fail(ErrorKind::io, "nothing was applied: a flush of the log failed");
    } else {
      const auto dead = failure();
      pending->answer =
          fail(ErrorKind::outcome_unknown, dead ? dead->message()
                                                : "a flush of the log failed, and what it was "
                                                  "for was not found out");
    }
  }
  deliver(written.batch);
}

void Committer::find_out() {
  {
    std::lock_guard lock(mutex_);
    find_out_ = true;
  }
  work_.notify_one();
}

// With the turn: what was in the log when a flush failed, or when files were taken away.
void Committer::settle_rest() {
  auto rest = take_unsettled();
  if (!lost_ && context_.log->has_failed() && find_writer()) recover();
  for (auto& written : rest) {
    const auto in_place = context_.check_place();
    if (in_place) {
      const bool is_whole = has_whole_log(written.log_bytes);
      answer(written, is_whole ? context_.log->look(written.mark) : LogSync::State::unknown);
    } else {
      refuse_acknowledgement(written.batch, in_place.error());
      deliver(written.batch);
    }
  }
  context_.flushes->resume();
}

std::vector<Committer::Written> Committer::take_unsettled() {
  std::lock_guard lock(mutex_);
  find_out_ = false;
  return std::exchange(unsettled_, {});
}

// The turn was not to be had, and nobody waits for another try.
void Committer::give_up_if_stopping() {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) return;
  }
  for (auto& written : take_unsettled()) answer(written, LogSync::State::unknown);
}

// Within a transaction. A log that is shorter than what is in it was used from the front again, or
// cut short by a stranger: frames are read as its index names them, whatever is there.
Status Committer::check_log_length(std::int64_t least) const {
  const auto& options = *context_.options;
  if (size_of_log(options) >= least || SEMPER_MUTANT("sqlite_log_cut_short_unnoticed")) return {};
  const Status whole = check_log(options.path);
  if (whole) return {};
  return fail(ErrorKind::io, options.path.wal() +
                                 " was cut short while the store was open, and what had been "
                                 "committed last is gone with it; nothing more is taken: close the "
                                 "store everywhere and open it again, or restore a backup");
}

// The same with the turn alone. False: this handle is of no use any more.
bool Committer::has_whole_log(std::int64_t least) {
  if (size_of_log(*context_.options) >= least) return true;
  if (!find_writer()) return false;
  const auto base = writer_->begin();
  const Status whole = base ? check_log_length(least) : fail(base.error());
  if (base) writer_->rollback();
  if (base && !whole) give_up(whole.error());
  return whole.has_value();
}

void Committer::recover() {
  const Error error = context_.log->failure();
  const auto refreshed = refresh_log(*writer_, *context_.options, *context_.statistics);
  if (refreshed && context_.log->recovered(*refreshed)) return;
  if (open_again(error)) context_.hub->on_unknown_commit();
}

void Committer::answer_all(Batch& batch, const Error& error) {
  for (auto& pending : batch) pending->answer = fail(error);
}

void Committer::deliver(Batch& batch) {
  std::vector<std::pair<OneShot<Answer>, Answer>> answers;
  answers.reserve(batch.size());
  for (auto& pending : batch) {
    answers.emplace_back(pending->done, std::move(pending->answer));
    pending.reset();
  }
  OneShot<Answer>::set_all(std::move(answers));
}

// Before a batch; where not, everything in it is refused.
bool Committer::is_in_place(Batch& batch) {
  if (!lost_) {
    const auto in_place = context_.check_place();
    if (in_place) return true;
    lost_ = true;
    rescue_from_lost_log();
  }
  std::lock_guard lock(mutex_);
  answer_all(batch, *failed_);
  return false;
}

// What was acknowledged is in a log that nobody else will ever read: copied into the store, if that
// is in its place and no other log was begun.
void Committer::rescue_from_lost_log() {
  if (!writer_ || !context_.options->place->is_only_the_log_lost()) return;
  if (writer_->restart_wal(kRestartWaitMs)) {
    log_warning("sqlite", context_.options->path.wal() +
                              " was lost; what had been committed was copied into the store");
  }
}

// The files were taken away while this batch was flushed.
void Committer::refuse_acknowledgement(Batch& batch, const Error& error) {
  lost_ = true;
  rescue_from_lost_log();
  // A file without a name is seen by nobody. One that was moved may come back.
  const bool gone = context_.options->place->is_deleted();
  for (auto& pending : batch) {
    if (!pending->answer) continue;
    pending->answer = gone ? fail(ErrorKind::io, "nothing was applied: " + error.message())
                           : fail(ErrorKind::outcome_unknown, error.message());
  }
}

void Committer::close_writer() {
  if (writer_ && (lost_ || failure() || context_.log->has_failed())) {
    writer_->leave_wal_on_close();
  }
  writer_.reset();
}

void Committer::commit_batch(Batch& batch) {
  if (!is_in_place(batch)) return;
  Version version = 0;
  if (!begin(batch, version)) return;
  switch (apply(batch, version)) {
    case Applied::no:
      return writer_->rollback();
    case Applied::yes:
      return finish(batch, version);
    case Applied::failed:
      writer_->rollback();
      replace_broken_writer();
      if (batch.size() > 1) commit_one_by_one(batch);
  }
}

// Opens the SQLite transaction that will make `version`.
bool Committer::begin(Batch& batch, Version& version) {
  if (const Status found = find_writer(); !found) {
    answer_all(batch, found.error());
    return false;
  }
  const auto base = writer_->begin();
  if (!base) {
    answer_all(batch, base.error());
    return false;
  }
  if (const Status whole = check_log_length(writer_->wal_bytes()); !whole) {
    writer_->rollback();
    give_up(whole.error());
    answer_all(batch, whole.error());
    return false;
  }
  // What happened then is in no table: a process that died, a lost log, a restored copy.
  if (base->version != context_.sidecar->version() &&
      !SEMPER_MUTANT("sqlite_commits_of_others_believed_absent")) {
    context_.sidecar->shared().keys.forget(
        std::max<Version>(base->version, context_.sidecar->version()));
  }
  // Somebody died after a commit and before saying so, or does not say anything (a restored copy).
  if (base->version > context_.sidecar->version()) {
    context_.log->written(base->version);
    context_.hub->on_unknown_commit();
  }
  // Not again one that was lost with a log.
  version = context_.sidecar->version() + 1;
  return true;
}

// Each request gets a version of its own, from `version` on, so that whoever begins a transaction
// at the version of its last commit is told of what came after it in the same batch. Leaves the
// last one there.
Committer::Applied Committer::apply(Batch& batch, Version& version) {
  const Version first = version;
  Version next = version;
  for (auto& pending : batch) {
    const auto valid = writer_->is_unchanged(pending->request);
    if (valid && !*valid && !SEMPER_MUTANT("sqlite_conflicts_unchecked")) {
      Statistics::add(context_.statistics->conflicts, 1);
      // Who runs it again must be shown what it met, which may not be durable yet.
      context_.sidecar->saw(context_.sidecar->version());
      pending->answer = fail(ErrorKind::conflict,
                             "something this transaction has read was changed by another one; "
                             "nothing was applied, run the whole transaction again");
      continue;
    }
    next = std::max(next, pending->floor + 1);
    const CommitReceipt stamp{next, 0};
    const Status applied = valid ? writer_->apply(pending->request, stamp) : fail(valid.error());
    if (!applied) {
      pending->answer = fail(applied.error());
      apply_error_ = applied.error();
      return Applied::failed;
    }
    if (!pending->request.write_conflicts.empty() &&
        (write_conflicts_.empty() || write_conflicts_.back().second != next)) {
      write_conflicts_.emplace_back(context_.clock->now(), next);
    }
    pending->answer = stamp;
    version = next;
    if (version == first || !SEMPER_MUTANT("sqlite_one_version_for_a_batch")) ++next;
  }
  return next == first ? Applied::no : Applied::yes;
}

void Committer::commit_one_by_one(Batch& batch) {
  for (auto& pending : batch) {
    Batch alone{pending};
    commit_batch(alone);
  }
}

void Committer::finish(Batch& batch, Version version) {
  const auto forgotten = forget_old_write_conflicts();
  if (!forgotten && !SEMPER_MUTANT("sqlite_rolled_back_and_committed")) {
    writer_->rollback();
    return start_afresh(batch, forgotten.error());
  }
  const int code = writer_->commit(version, Writer::Flush::later);
  auto& statistics = *context_.statistics;
  if (code == SQLITE_OK) {
    written_ = context_.log->written(version);
    for (const auto& pending : batch) pending->mark = written_;
    context_.hub->on_commit(writer_->written(), version);
    std::int64_t applied = 0;
    for (const auto& pending : batch) applied += pending->answer ? 1 : 0;
    Statistics::add(statistics.commits, applied);
    Statistics::add(statistics.batches, 1);
    if (applied > statistics.largest_batch.load()) statistics.largest_batch.store(applied);
    statistics.wal_bytes.store(writer_->wal_bytes());
    context_.checkpointer->on_commit(writer_->wal_bytes());
    return;
  }
  const Error error = writer_->connection().error(code, "the commit failed");
  // A full disk is found while pages are being written, before the one that makes them a commit.
  if ((code & 0xff) == SQLITE_FULL) {
    start_afresh(batch, error);
    return make_room();
  }
  resolve(batch, version, error);
}

// A statement failed and was rolled back. Where the file was at fault, the writer's handle on it
// takes nothing more.
void Committer::replace_broken_writer() {
  const auto kind = apply_error_->kind();
  if (kind == ErrorKind::io || kind == ErrorKind::exhausted) replace_writer();
}

// Nothing of the batch was applied. With a new writer the next commit finds out whether there is
// room again.
void Committer::start_afresh(Batch& batch, const Error& error) {
  for (auto& pending : batch) {
    if (pending->answer) pending->answer = fail(error);
  }
  replace_writer();
}

void Committer::use(std::unique_ptr<Writer> writer) {
  writer_ = std::move(writer);
  writer_->share(context_.sidecar->shared().keys);
}

// The new one is opened first: the process keeps its locks, and the log its name. Where that fails,
// the next batch tries again.
void Committer::replace_writer() {
  writer_->leave_wal_on_close();
  auto writer = Writer::open(*context_.options, *context_.statistics);
  // The old one may have what is short, descriptors or memory.
  writer_.reset();
  if (!writer) writer = Writer::open(*context_.options, *context_.statistics);
  if (writer) return use(std::move(*writer));
  log_warning("sqlite",
              "commits cannot go on, and are tried again one by one: " + writer.error().message());
}

// Another one where the last one could not be replaced; none where nothing more is taken.
Status Committer::find_writer() {
  if (const auto dead = failure()) return fail(*dead);
  if (writer_) return {};
  SEMPER_TRY(auto writer, Writer::open(*context_.options, *context_.statistics));
  use(std::move(writer));
  return {};
}

void Committer::give_up(const Error& dead) {
  fail_for_good(dead);
  context_.pool->stop(dead);
  context_.hub->give_up();
}

void Committer::resolve(Batch& batch, Version version, const Error& error) {
  if (!open_again(error)) {
    for (auto& pending : batch) {
      if (pending->answer) pending->answer = fail(ErrorKind::outcome_unknown, failure()->message());
    }
    return;
  }
  if (context_.log->found() >= version && !SEMPER_MUTANT("sqlite_found_commit_denied")) {
    for (const auto& pending : batch) pending->mark = context_.log->seen(version);
    return context_.hub->on_unknown_commit();
  }
  if (SEMPER_MUTANT("sqlite_lost_commit_acknowledged")) return;
  for (auto& pending : batch) {
    if (pending->answer) {
      pending->answer = fail(ErrorKind::io, "nothing was applied: " + error.message());
    }
  }
}

// Finds out what the log holds, and makes that durable. False: this handle is of no use any more.
bool Committer::open_again(const Error& error) {
  const Error reopened(
      ErrorKind::io,
      "a commit failed and the store was opened again; begin anew (" + error.message() + ")");
  const auto hold = Hold::take(*context_.options);
  context_.suspend_others(reopened);
  writer_->leave_wal_on_close();
  writer_.reset();
  auto recovered = recover_store(*context_.options, *context_.statistics);
  const Version durable = context_.sidecar->shared().durable.load();
  if (recovered && recovered->version < durable && !SEMPER_MUTANT("sqlite_lost_past_forgotten")) {
    recovered->writer->leave_wal_on_close();
    const std::string what = " has lost commits that had been acknowledged: of " +
                             std::to_string(durable) + ", the last that is there is " +
                             std::to_string(recovered->version) +
                             "; restore a backup, or go on with what is left";
    recovered = fail(ErrorKind::io, context_.options->path.wal() + what);
  }
  const bool is_durable = recovered && context_.log->recovered(recovered->version);
  if (!is_durable) {
    const Error last = recovered ? context_.log->failure() : recovered.error();
    const Error dead(ErrorKind::io,
                     "this store cannot be used any more, close it and open it again "
                     "when the cause is gone; first: " +
                         error.message() + "; then: " + last.message());
    give_up(dead);
    return false;
  }
  use(std::move(recovered->writer));
  context_.resume_others();
  return true;
}

Status Committer::forget_old_write_conflicts() {
  const auto now = context_.clock->now();
  const auto young =
      std::find_if(write_conflicts_.begin(), write_conflicts_.end(),
                   [&](const auto& one) { return now - one.first <= kWriteConflictLife; });
  if (young == write_conflicts_.begin()) return {};
  SEMPER_TRY_STATUS(writer_->forget_write_conflicts(std::prev(young)->second));
  write_conflicts_.erase(write_conflicts_.begin(), young);
  return {};
}

bool Committer::wants_wal() {
  const auto bytes = writer_->wal_bytes();
  const auto before = std::exchange(seen_wal_bytes_, bytes);
  if (bytes < before) on_restarted_wal(before);
  if (bytes < kWalSoftBytes || bytes < next_restart_bytes_) return false;
  return bytes >= kWalHardBytes || context_.checkpointer->is_nearly_done();
}

// With the turn held and nobody waiting for an answer.
void Committer::look_after_wal() {
  const auto bytes = writer_->wal_bytes();
  const bool pressed = bytes >= kWalHardBytes;
  next_restart_bytes_ = bytes + kWalRemainderBytes;
  const bool done = holders_ ? try_again_beside_holders() : restart_wal(pressed);
  if (!done && writer_->has_io_error()) context_.log->doubt();
  if (!done) return;
  context_.statistics->wal_bytes.store(writer_->wal_bytes());
  Statistics::add(context_.statistics->wal_restarts, 1);
  on_restarted_wal(bytes);
}

// By this process, or by another one.
void Committer::on_restarted_wal(std::int64_t grown_to) {
  context_.checkpointer->on_restart();
  next_restart_bytes_ = 0;
  next_wait_bytes_ = 0;
  if (!holders_) return;
  holders_.reset();
  log_info("sqlite", "the log of " + context_.options->path.file +
                         " is used from its front again; it had grown to " +
                         std::to_string(grown_to >> 20) + " MiB");
}

// The log itself may have filled the disk, while somebody read: used from its front again it gives
// room back. Nobody else asks for that, for no commit succeeds.
void Committer::make_room() {
  const auto now = context_.clock->now();
  if (now < next_try_for_room_ || SEMPER_MUTANT("sqlite_full_disk_kept_full")) return;
  next_try_for_room_ = context_.clock->after(kHoldersInterval);
  if (!writer_ || context_.log->has_failed() || !restart_wal(false)) return;
  Statistics::add(context_.statistics->wal_restarts, 1);
  context_.checkpointer->on_restart();
  next_restart_bytes_ = 0;
  holders_.reset();
}

// Past the hard bound readers are waited for, but only as long as those are in the way who give
// way.
bool Committer::restart_wal(bool pressed) {
  if (pressed) context_.end_long_reads();
  const Duration age = pressed ? kPressedSnapshotAge : context_.snapshot_lifetime;
  context_.pool->tidy({Duration::zero(), age});
  context_.hub->ask_for_wal();
  if (writer_->restart_wal(kRestartWaitMs)) return true;
  if (!pressed) return false;
  for (int attempt = 0; attempt < kPressedAttempts; ++attempt) {
    // Those as well that were opened during the last attempt, before all of the log was copied.
    context_.sidecar->shared().wal_pressed.fetch_add(1);
    context_.hub->ask_for_wal();
    context_.pool->tidy({Duration::zero(), age});
    Statistics::add(context_.statistics->wal_waits, 1);
    if (writer_->restart_wal(kPressedWaitMs)) return true;
    if (anybody_stays()) {
      name_holders();
      return false;
    }
  }
  // In vain, although nobody stays who can be seen: once more when there is twice as much.
  next_wait_bytes_ = 2 * writer_->wal_bytes();
  name_holders();
  return false;
}

// The log grows, and nobody waits while somebody stays. When those have gone, the others are waited
// for as before: one or the other always reads, so without waiting the log would grow for ever.
bool Committer::try_again_beside_holders() {
  if (context_.clock->now() < next_look_at_holders_) {
    context_.pool->tidy({Duration::zero(), context_.snapshot_lifetime});
    return writer_->restart_wal(0);
  }
  const bool waits = writer_->wal_bytes() >= next_wait_bytes_ && !anybody_stays();
  if (waits && !SEMPER_MUTANT("sqlite_log_waits_once")) return restart_wal(true);
  context_.hub->ask_for_wal();
  name_holders();
  return writer_->restart_wal(0);
}

bool Committer::anybody_stays() const {
  return log_readers(*context_.options, *context_.sidecar).anybody_stays();
}

// Says so in the log when it has changed who they are.
void Committer::name_holders() {
  next_look_at_holders_ = context_.clock->after(kHoldersInterval);
  auto names = log_readers(*context_.options, *context_.sidecar).to_string();
  if (holders_ == names) return;
  log_warning("sqlite", "the log of " + context_.options->path.file + " holds " +
                            std::to_string(writer_->wal_bytes() >> 20) +
                            " MiB and grows with every commit, because " + names +
                            " in a transaction; commits go on, end that one to give the disk its "
                            "room back");
  holders_ = std::move(names);
}

}  // namespace semper::sqlite
