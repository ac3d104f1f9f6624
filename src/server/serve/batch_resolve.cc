// The part of a Batch that decides what becomes of an attempt that did not go as it should.
#include <algorithm>
#include <limits>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "server/format/failure_note.h"
#include "server/serve/batch.h"
#include "server/serve/full_queues.h"
#include "server/serve/letters.h"

namespace semper::internal {
namespace {

// Callers in the queue of an entity that cannot be read who are told so at once; the others at the
// next look.
constexpr std::size_t kParkedReplies = 1'000;

// Of a message that is never set aside, before its entity gives way to others.
constexpr int kRunsInPlace = 10;

// Of the store as a whole: its disk is full, its quota or its memory used up. What is over a limit
// names it.
bool is_shortage(const Error& error) {
  return error.kind() == ErrorKind::exhausted && !error.limit() &&
         !SEMPER_MUTANT("server_full_disk_blamed_on_a_message");
}

Error took_too_long(const Error& error, Duration ran_for) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(ran_for).count();
  return Error(ErrorKind::timeout, "its callback ran for " + std::to_string(milliseconds) +
                                       " ms, more than a transaction may take (" + error.message() +
                                       "); do long work in handle_locked");
}

}  // namespace

// The message after the executed ones failed. Those are run again without it; then it is alone.
Async<bool> Batch::resolve_failure(AttemptEffects& effects) {
  failed_ = failed_run(effects, effects.failure_is_local);
  entity_.forget();
  must_load_ = true;
  if (effects.telling_failed) co_return bury_untold(*effects.failure);
  if (effects.was_told_to_go) co_return keep_expired(*effects.failure, effects);
  if (effects.executed > 0 && !SEMPER_MUTANT("server_neighbour_blamed_for_a_failure")) {
    limit_ = effects.executed;
    co_return false;
  }
  Error error = std::move(*effects.failure);
  const bool hopeless = effects.failure_is_local ? error.kind() != ErrorKind::internal
                                                 : effects.sends.refused || effects.is_unfit;
  co_return co_await fail_alone(effects, effects.failure_is_local, std::move(error),
                                hopeless ? Again::no : Again::yes);
}

// The message is set aside all the same; its entity is not told.
bool Batch::bury_untold(const Error& error) {
  served_.counters().failures.add();
  log_error("server", target_->id.to_string() +
                          ": handle_dead_letter failed, and the message is set aside without it: " +
                          error.to_string());
  burial_->tell = Burial::Tell::no;
  limit_ = 1;
  return false;
}

// The entity stays, and is asked again when another of its periods is over.
bool Batch::keep_expired(const Error& error, const AttemptEffects& effects) {
  served_.counters().failures.add();
  log_warning("server",
              target_->id.to_string() +
                  " has expired, and stays, because handle_expiry failed: " + error.to_string());
  desk_.kept_expired = effects.head;
  return false;
}

// The store did not do what the attempt came to.
Async<bool> Batch::resolve_error(AttemptEffects& effects, Error error) {
  if (is_shortage(error)) {
    entity_.spoil();
    co_return fail(error.in(target_->id.to_string()));
  }
  switch (error.kind()) {
    case ErrorKind::conflict:
      co_return co_await resolve_conflict(effects);
    case ErrorKind::exhausted:
    case ErrorKind::invalid_argument:
    case ErrorKind::timeout:
      co_return co_await resolve_refusal(effects, std::move(error));
    default:
      entity_.spoil();
      co_return fail(error.in(target_->id.to_string()));
  }
}

// What the callbacks of this attempt came to cannot be written: it is more than the store takes,
// it took too long, or the state does not encode. Half of them, then one alone, and that one fails.
Async<bool> Batch::resolve_refusal(AttemptEffects& effects, Error error) {
  failed_ = failed_run(effects, effects.operations_run > 0);
  entity_.spoil();
  must_load_ = true;
  if (effects.ran() > 1) {
    limit_ = effects.ran() / 2;
    co_return false;
  }
  const bool timed_out = error.kind() == ErrorKind::timeout;
  const Duration most = core_.store().limits().transaction_duration;
  const bool is_the_stores = timed_out && effects.ran_for < most / 2;
  if (effects.was_told && !is_the_stores) co_return bury_untold(error);
  // Not even setting it aside was possible, or it is the store that is slow.
  if (effects.ran() == 0 || effects.head_buried || is_the_stores) {
    co_return fail(error.in(target_->id.to_string()));
  }
  if (timed_out) error = took_too_long(error, effects.ran_for);
  const bool hopeless =
      error.kind() == ErrorKind::exhausted || error.kind() == ErrorKind::invalid_argument;
  co_return co_await fail_alone(effects, effects.operations_run > 0, std::move(error),
                                hopeless ? Again::no : Again::yes);
}

// What it sends finds no room in a queue, which may have some later; whoever waits here is told.
Async<bool> Batch::resolve_full(AttemptEffects& effects, const EntityId& full) {
  failed_ = failed_run(effects, effects.operations_run > 0);
  entity_.forget();
  must_load_ = true;
  if (effects.ran() > 1) {
    limit_ = effects.ran() / 2;
    co_return false;
  }
  Error error = queue_is_full(full);
  if (effects.was_told) co_return bury_untold(error);
  const bool is_local = effects.operations_run > 0;
  co_return co_await fail_alone(effects, is_local, std::move(error),
                                is_local ? Again::no : Again::yes);
}

FailedRun Batch::failed_run(const AttemptEffects& effects, bool is_local) const {
  FailedRun run;
  run.of = served_.message_attempts();
  if (is_local && !operations_.empty()) {
    const Operation& operation = operations_.front();
    run.how = FailedRun::How::local;
    run.event = operation.event;
    run.of = 1;
    const std::size_t place = std::min(effects.messages_run, operation.messages.size() - 1);
    run.message = operation.messages[place].name;
    return run;
  }
  if (entity_.segments().empty()) return run;
  const auto& messages = entity_.segments().front().messages;
  if (effects.head.offset >= messages.size()) return run;
  run.event = messages[effects.head.offset].event;
  run.message = messages[effects.head.offset].content.name;
  return run;
}

// The first operation, or the first message of the queue, failed on its own account.
Async<bool> Batch::fail_alone(const AttemptEffects& effects, bool is_local, Error error,
                              Again again) {
  if (effects.was_told_to_go && !is_local) co_return keep_expired(error, effects);
  if (is_local) {
    const bool is_queued = operations_.front().event == Event::cast && again == Again::yes;
    failed_.next = is_queued ? FailedRun::Next::queue : FailedRun::Next::reply;
    served_.failed(target_->id, failed_, error);
    if (is_queued) {
      // It was promised to be durable: it is queued, and retried there.
      reroute(0);
    } else {
      operations_.front().done.set(fail(error.in(target_->id.to_string())));
      operations_.erase(operations_.begin());
    }
    limit_ = kNoMessageLimit;
    co_return operations_.empty() && !queue_noticed_;
  }
  spend_tokens(1);
  queue_noticed_ = true;
  limit_ = 1;
  auto& memory = desk_;
  // Another host may have got on with the one that failed before.
  const bool is_another = memory.head != effects.head;
  if (is_another && !SEMPER_MUTANT("server_attempts_of_another_message")) {
    memory.head_failures = 0;
    memory.head_failed_first_ms = 0;
  }
  memory.head = effects.head;
  const std::int64_t now_ms = in_milliseconds(core_.clock().wall_time());
  failed_.next = FailedRun::Next::dead_letter;
  if (again == Again::no) {
    ++memory.head_failures;
    failed_.attempt = static_cast<std::uint64_t>(memory.head_failures);
    served_.failed(target_->id, failed_, error);
    burial_ = Burial{effects.head, std::move(error),
                     static_cast<std::uint64_t>(memory.head_failures), memory.head_failed_first_ms};
    co_return false;
  }
  const Duration wait = co_await count_failure(error, now_ms);
  failed_.attempt = static_cast<std::uint64_t>(memory.head_failures);
  failed_.wait = wait;
  if (memory.head_failures < served_.message_attempts()) failed_.next = FailedRun::Next::retry;
  served_.failed(target_->id, failed_, error);
  if (memory.head_failures >= served_.message_attempts()) {
    burial_ = Burial{effects.head,
                     error.in("after " + std::to_string(memory.head_failures) + " attempts"),
                     static_cast<std::uint64_t>(memory.head_failures), memory.head_failed_first_ms};
    co_return false;
  }
  give_tokens_back();
  SEMPER_CO_TRY_STATUS(co_await turn_.pause(wait));
  const bool for_ever = served_.message_attempts() == kAttemptsForEver;
  const bool leaves = core_.stopping.stop_requested() &&
                      !SEMPER_MUTANT("server_stop_waits_for_a_message_that_fails");
  if (!leaves && (!for_ever || memory.head_failures < kRunsInPlace)) co_return false;
  // The next run is another host's. Or it may be tried for ever: others have their turn, and the
  // next look at the index finds it again.
  reroute_all();
  co_return true;
}

// One more of the message at the desk's head, in the store too, where others go on from. Returns
// the pause before the next run.
Task<Duration> Batch::count_failure(const Error& error, std::int64_t now_ms) {
  auto& memory = desk_;
  const int most = served_.message_attempts();
  FailureNote note;
  note.segment = memory.head.segment;
  note.offset = memory.head.offset;
  Duration wait{};
  const auto count = [&](std::uint64_t before, std::int64_t first_ms) {
    note.attempts = before + 1;
    note.first_ms = first_ms == 0 ? now_ms : first_ms;
    BackoffOptions waits = core_.options.message_backoff;
    for (std::uint64_t i = 1; i < note.attempts && waits.initial < waits.maximum; ++i) {
      waits.initial = std::min(waits.initial * 2, waits.maximum);
    }
    wait = Backoff(waits, *core_.env().random).next();
  };
  const auto before = static_cast<std::uint64_t>(memory.head_failures);
  count(before, memory.head_failed_first_ms);
  note.last_ms = now_ms;
  // One run is all: there is nothing to remember.
  if (most > 1 && !SEMPER_MUTANT("server_failures_counted_in_memory")) {
    const auto write = [&](Transaction& transaction) -> Async<void> {
      const auto& keys = target_->keys;
      // Not of a message that was taken or killed meanwhile: nobody would remove it.
      SEMPER_CO_TRY(const auto segment,
                    co_await transaction.get(keys.queue_segment_at(note.segment)));
      if (!segment) co_return Status{};
      SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.failures()));
      auto known = raw ? FailureNote::decode(*raw) : Result<FailureNote>(FailureNote());
      const bool is_same = raw && known && known->is_of(note.segment, note.offset);
      if (is_same && known->attempts > before) count(known->attempts, known->first_ms);
      if (note.attempts >= static_cast<std::uint64_t>(most) && !raw) co_return Status{};
      note.next_ms = now_ms + std::chrono::duration_cast<std::chrono::milliseconds>(wait).count();
      note.host = core_.name;
      note.reason = error.to_string();
      transaction.set(keys.failures(), note.encode());
      co_return Status{};
    };
    const auto noted = co_await core_.store().transact(write);
    memory.has_noted_failure = true;
    if (!noted) {
      log_warning("server", target_->id.to_string() +
                                ": a run that failed is counted in memory only: " +
                                noted.error().to_string());
    }
  }
  memory.head_failures =
      static_cast<int>(std::min<std::uint64_t>(note.attempts, std::numeric_limits<int>::max() - 1));
  memory.head_failed_first_ms = note.first_ms;
  co_return wait;
}

Async<bool> Batch::resolve_conflict(const AttemptEffects& effects) {
  auto& memory = desk_;
  served_.counters().conflicts.add();
  entity_.forget();
  if (effects.vacated) memory.contended = true;
  if (effects.operations_run > 0) memory.crowded = true;
  memory.empty_looks = 0;
  ++conflicts_;
  if (SEMPER_MUTANT("server_wake_up_lost_in_a_conflict") && operations_.empty()) {
    queue_noticed_ = false;
    co_return true;
  }
  // Whoever changes the entity so often leaves time for a smaller one. Publishers, who only meet
  // those that claim the queue, are no reason.
  const bool claimed = effects.vacated || effects.operations_run > 0;
  const bool shrinks = !SEMPER_MUTANT("server_batch_never_shrinks");
  if (shrinks && effects.popped > 1 && (!claimed || conflicts_ > 1)) {
    memory.most = effects.popped / 2;
  }
  if (conflicts_ >= kConflictAttempts) {
    co_return fail(ErrorKind::conflict, target_->id.to_string() + ": other processes changed it " +
                                            std::to_string(conflicts_) +
                                            " times in a row; try again");
  }
  if (conflicts_ > 2) {
    Backoff backoff({.initial = std::chrono::microseconds(200) * conflicts_,
                     .maximum = std::chrono::milliseconds(20)},
                    *core_.env().random);
    SEMPER_CO_TRY_STATUS(co_await turn_.pause(backoff.next()));
  }
  co_return false;
}

Async<void> Batch::note_parked(const Error& error) {
  served_.counters().parked.add();
  log_error("server", target_->id.to_string() + " is parked: " + error.message());
  const ParkedNote parked{to_printable(error.message(), 4096),
                          entity_.header_raw().substr(0, Versionstamp::store_size)};
  auto reason = co_await core_.store().transact([&](Transaction& note) -> Async<void> {
    note.set(target_->keys.parked(), parked.encode());
    co_return Status{};
  });
  if (!reason) {
    log_warning("server", "the reason could not be stored: " + reason.error().message());
  }
  co_return reason;
}

// Once each; their messages stay, and may still be processed, as after a timeout.
Async<void> Batch::tell_callers_of_parked(const Error& error) {
  auto& told = desk_.parked_told;
  const Bytes answer =
      encode_reply_error(error.in("parked; the message waits and may still be processed"));
  std::vector<OutgoingReply> replies;
  std::optional<Versionstamp> last = told;
  for (const auto& segment : entity_.segments()) {
    SEMPER_CO_TRY(const auto stamp, EntityKeys::stamp_in(segment.key));
    if (told && stamp <= *told) continue;
    if (replies.size() >= kParkedReplies) break;
    for (const auto& message : segment.messages) {
      if (message.event == Event::call) replies.push_back({message.caller, answer});
    }
    last = stamp;
  }
  if (!replies.empty()) {
    const auto& prefix = target_->tenant.prefix();
    const auto tell = [&](Transaction& transaction) -> Async<void> {
      SEMPER_CO_TRY_STATUS(co_await write_replies(transaction, prefix, replies));
      co_return Status{};
    };
    SEMPER_CO_TRY_STATUS(co_await core_.store().transact(tell));
  }
  told = last;
  co_return Status{};
}

}  // namespace semper::internal
