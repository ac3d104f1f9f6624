#include "server/serve/lock_release.h"

#include <utility>
#include <vector>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/env/backoff.h"
#include "server/format/cancelled_casts.h"
#include "server/format/dead_letter_mark.h"
#include "server/format/key_book.h"
#include "server/format/replies.h"
#include "server/format/timer_book.h"
#include "server/send/open_span.h"
#include "server/serve/callbacks.h"
#include "server/serve/entity.h"
#include "server/serve/full_queues.h"
#include "server/serve/letters.h"

namespace semper::internal {
namespace {

// Between attempts to write a result back: others may change the state, the store may be away.
constexpr BackoffOptions kReleaseBackoff = {.initial = std::chrono::milliseconds(1),
                                            .maximum = std::chrono::seconds(1)};
// Between two warnings of one result that cannot be written.
constexpr Duration kReleaseWarnings = std::chrono::minutes(1);
// For room in a queue that the result sends to, before its message is set aside.
constexpr Duration kRoomPatience = std::chrono::seconds(30);

}  // namespace

LockRelease::LockRelease(const ServedBehaviour& served, std::shared_ptr<const Target> target,
                         const HeldLock& held, Runs runs, std::shared_ptr<const MessageTrace> trace)
    : served_(served),
      core_(served.core()),
      target_(std::move(target)),
      held_(held),
      runs_(runs),
      trace_(std::move(trace)) {}

Async<void> LockRelease::write(LockedResult made) {
  Backoff backoff(kReleaseBackoff, *core_.env().random);
  std::optional<MonotonicTime> last_attempt;  // once the host stops
  MonotonicTime warn_at = core_.clock().now();
  std::optional<MonotonicTime> room_until;  // once a queue that it sends to is full
  bool unknown = false;
  while (true) {
    std::optional<Error> why;
    const auto written = co_await attempt(made, why);
    if (written && *written == Written::yes) co_return Status{};
    if (written && *written == Written::lock_gone) {
      co_return fail(ErrorKind::closed,
                     unknown
                         ? "the lock is gone: the answer to an attempt to write was lost, and "
                           "perhaps that one succeeded"
                         : "the lock was taken away, or the entity reset, meanwhile; the message "
                           "is handled again");
    }
    const bool has_no_room = written && *written == Written::no_room;
    if (has_no_room && !room_until) room_until = core_.clock().after(kRoomPatience);
    if (written && (!has_no_room || core_.clock().now() >= *room_until)) {
      // The next holder would do no better.
      report_locked_run(served_, *target_, held_, runs_.count, FailedRun::Next::dead_letter, {},
                        *why);
      made.handled = fail(*why);
      continue;
    }
    const Error& error = has_no_room ? *why : written.error();
    if (error.kind() == ErrorKind::unsupported) {
      // A newer host wrote the state while the callback ran, with a priority message: this result
      // is of the one before. The message is handled again by a host that knows the new one.
      SEMPER_CO_TRY_STATUS(co_await leave_lock(core_, *target_, held_));
      co_return fail(error);
    }
    if (error.kind() == ErrorKind::closed || error.kind() == ErrorKind::cancelled ||
        SEMPER_MUTANT("server_locked_result_dropped_on_error")) {
      co_return fail(error);
    }
    unknown = unknown || error.kind() == ErrorKind::outcome_unknown;
    const MonotonicTime now = core_.clock().now();
    if (core_.stopping.stop_requested()) {
      if (!last_attempt) last_attempt = core_.clock().after(core_.options.lock_lease);
      if (now >= *last_attempt) co_return fail(error.in("the host stops"));
    }
    if (error.kind() != ErrorKind::conflict && now >= warn_at) {
      warn_at = core_.clock().after(kReleaseWarnings);
      log_warning("server",
                  target_->id.to_string() +
                      ": the locked result is not written yet, trying again: " + error.to_string());
    }
    SEMPER_CO_TRY_STATUS(co_await sleep_for(core_.clock(), backoff.next()));
  }
}

Async<void> LockRelease::set_aside(const Error& reason) {
  tells_ = false;  // nobody knows whether that would end its processes, too
  const LockedResult unrun{fail(reason)};
  std::optional<Error> why;
  SEMPER_CO_TRY(const Written written, co_await attempt(unrun, why));
  if (written != Written::yes) co_return fail(ErrorKind::conflict, "the lock has changed");
  report_locked_run(served_, *target_, held_, runs_.count, FailedRun::Next::dead_letter, {},
                    reason);
  co_return Status{};
}

// A reset made the state anew, and what came of the one before is not for it: the message is
// handled from its beginning.
Async<void> LockRelease::give_back_unhandled(Entity& entity, Transaction& transaction) {
  entity.header().lock.reset();
  SEMPER_CO_TRY_STATUS(entity.save(transaction, served_.behaviour()));
  transaction.clear(target_->keys.lock_renewal());
  free_lock_place(served_, *target_, transaction);
  transaction.set(target_->keys.index(), {});
  transaction.add(target_->keys.wake(), 1);
  SEMPER_CO_TRY_STATUS(co_await transaction.commit());
  co_return Status{};
}

// Removes the lock, and the message that it was for.
void LockRelease::pop_message(Entity& entity, Transaction& transaction) const {
  auto& header = entity.header();
  header.lock.reset();
  header.popped += 1;
  header.head_offset += 1;
  if (header.head_offset == entity.segments().front().messages.size()) {
    transaction.clear(entity.segments().front().key);
    header.head_offset = 0;
  }
  transaction.clear(target_->keys.lock_renewal());
  free_lock_place(served_, *target_, transaction);
}

Async<LockRelease::Written> LockRelease::attempt(const LockedResult& made,
                                                 std::optional<Error>& why) {
  const auto& handled = made.handled;
  Entity entity(target_);
  Transaction transaction = core_.store().begin();
  SEMPER_CO_TRY_STATUS(co_await entity.load(transaction, served_.behaviour(), 1));
  const auto& lock = entity.header().lock;
  const bool is_ours =
      lock && (lock->nonce == held_.nonce || SEMPER_MUTANT("server_fencing_not_checked"));
  if (!is_ours || entity.segments().empty()) co_return Written::lock_gone;
  if (handled && !entity.has_state() && !SEMPER_MUTANT("server_lock_undoes_a_reset")) {
    SEMPER_CO_TRY_STATUS(co_await give_back_unhandled(entity, transaction));
    co_return Written::lock_gone;
  }
  pop_message(entity, transaction);
  AfterCommit after;
  CallbackSends asked;
  std::optional<Bytes> reply;
  const bool call = held_.message.event == Event::call;
  if (handled) {
    entity.replace_state(made.state);
    if (call && handled->error) {
      reply = encode_reply_error(*handled->error);
    } else if (call && handled->replied) {
      reply = encode_reply_within(handled->reply, transaction.limits());
    }
  } else {
    reply = encode_reply_error(as_dead_letter(handled.error(), runs_.count));
    SEMPER_CO_TRY(why, co_await give_up(handled.error(), transaction, entity, asked, after));
  }
  if (handled && held_.message.tick) {
    SEMPER_CO_TRY_STATUS(co_await end_tick(transaction, *held_.message.tick));
  }
  Status sent;
  asked.counts = &core_.send_counts;
  if (handled) sent = send(transaction, made.sends, asked);
  if (sent && handled) {
    SEMPER_CO_TRY(const auto full, co_await find_full_queue(core_, *target_, transaction, asked,
                                                            entity.queue_length()));
    if (full) {
      why = queue_is_full(*full);
      // In its own queue there is no room before this message is done.
      co_return *full == target_->id ? Written::refused : Written::no_room;
    }
  }
  SEMPER_CO_TRY_STATUS(co_await answer(transaction, handled.has_value(), reply, asked));
  if (auto error = check_write(sent, entity, transaction)) why = std::move(error);
  if (why && handled) co_return Written::refused;
  if (why) co_return fail(without_callback(*why));
  const MonotonicTime commit_began = core_.clock().now();
  SEMPER_CO_TRY_STATUS(co_await transaction.commit());
  export_spans(asked, core_.env(), commit_began);
  finish(made);
  if (!after.is_nothing()) CallbackRunner(served_, *target_, entity).follow_up(after);
  co_return Written::yes;
}

// Saves the entity. Returns why the transaction cannot be committed, if that is so.
std::optional<Error> LockRelease::check_write(const Status& sent, Entity& entity,
                                              Transaction& transaction) const {
  const auto saved = entity.save(transaction, served_.behaviour());
  if (!sent) return sent.error();
  if (!saved) return saved.error();
  const auto& limits = transaction.limits();
  const bool by_size = transaction.size_bytes() > limits.transaction_bytes;
  if (!by_size && transaction.operation_count() <= limits.transaction_operations) {
    return std::nullopt;
  }
  const Limit limit = by_size ? Limit{"transaction_bytes", limits.transaction_bytes}
                              : Limit{"transaction_operations", limits.transaction_operations};
  return Error(ErrorKind::exhausted, limit,
               "the result of handle_locked is more than one transaction of the store takes");
}

// What came of handle_dead_letter cannot be written: the next attempt does without it.
Error LockRelease::without_callback(const Error& why) {
  if (!tells_ || !served_.letters().has_callback) return why;
  log_error("server", target_->id.to_string() +
                          ": what handle_dead_letter came to cannot be written, and the message "
                          "is set aside without it: " +
                          why.to_string());
  tells_ = false;
  return Error(ErrorKind::conflict, "again, without handle_dead_letter");
}

// The caller of the message, and those who wait for a key.
Async<void> LockRelease::answer(Transaction& transaction, bool is_handled,
                                std::optional<Bytes>& reply, const CallbackSends& asked) {
  if (held_.message.key || !asked.keyed_answers.empty()) {
    const auto state = is_handled ? KeyRecord::State::done : KeyRecord::State::failed;
    SEMPER_CO_TRY_STATUS(co_await settle_keys(transaction, reply, state, asked));
  }
  if (held_.message.event != Event::call || !reply) co_return Status{};
  std::vector<OutgoingReply> replies;
  replies.push_back({held_.message.caller, std::move(*reply)});
  SEMPER_CO_TRY_STATUS(co_await write_replies(transaction, target_->tenant.prefix(), replies));
  co_return Status{};
}

// The key of the message, and of calls that are answered with its result. `reply`: the message's,
// to its caller; one that was given while it ran takes its place.
Async<void> LockRelease::settle_keys(Transaction& transaction, std::optional<Bytes>& reply,
                                     KeyRecord::State state, const CallbackSends& asked) {
  const auto& message = held_.message;
  const KeyBook::Place place{transaction, transaction, target_->tenant.prefix()};
  const std::int64_t now = to_timer_ms(core_.clock().wall_time());
  KeyBook keys;
  std::vector<OutgoingReply> replies;
  if (message.key) {
    const KeyAddress address{target_->id, message.content.name, message.key->text};
    SEMPER_CO_TRY_STATUS(co_await keys.look(place, address, KeyBook::Loaded::yes));
    if (keys.stands_for(address, *message.key, message.caller)) {
      std::optional<KeyBook::Told> told;
      if (!reply && message.event != Event::call) reply = encode_reply({});
      if (reply) {
        told = keys.complete(address, *reply, state, now);
      } else {
        told = keys.wait(address, message.caller, now);
      }
      if (told) reply = told->reply;
      if (told) tell(*told, transaction.limits(), replies);
    }
  }
  SEMPER_CO_TRY_STATUS(co_await keys.answer(place, asked.keyed_answers, now, replies));
  SEMPER_CO_TRY_STATUS(co_await write_replies(transaction, place.tenant_prefix, replies));
  keys.settle(transaction, place.tenant_prefix);
  co_return Status{};
}

Status LockRelease::send(Transaction& transaction, const LockedSends& sends,
                         CallbackSends& of_all) {
  std::vector<Action> none;  // its steps ask for nothing that follows the commit
  Context context({&target_->tenant, &target_->id, &transaction, core_.env(),
                   core_.clock().wall_time(), held_.message.event, held_.message.caller, &of_all,
                   &none, nullptr, trace_});
  if (trace_ && trace_->context.is_sampled() && core_.options.spans != nullptr) {
    of_all.spans = std::make_shared<SpansOfAttempt>(*core_.options.spans);
    of_all.spans->runs.push_back(
        {trace_->context, target_->id.type + "." + held_.message.content.name});
  }
  try {
    for (const auto& step : sends) {
      if (SEMPER_MUTANT("server_locked_sends_forgotten")) break;
      step(context);
    }
  } catch (...) {
    return fail(
        exception_error("what handle_locked writes with its result", std::current_exception()));
  }
  if (of_all.refused) return fail(*of_all.refused);
  return {};
}

// The tick is handled: its timer goes on, unless it was cancelled meanwhile.
Async<void> LockRelease::end_tick(Transaction& transaction, const TickRecord& tick) {
  TimerBook timers;
  const TimerBook::Place place{transaction, transaction, target_->keys};
  SEMPER_CO_TRY_STATUS(co_await timers.look(place, tick.timer));
  const std::int64_t now = to_timer_ms(core_.clock().wall_time());
  timers.end(tick, now);
  co_return co_await timers.settle(place, now);
}

// Returns why what handle_dead_letter came to cannot be written, where that is so.
Async<std::optional<Error>> LockRelease::give_up(const Error& reason, Transaction& transaction,
                                                 Entity& entity, CallbackSends& sends,
                                                 AfterCommit& after) {
  if (!write_letter(reason, transaction, entity, sends, after)) {
    co_return fail(ErrorKind::conflict, "again, without handle_dead_letter");
  }
  const WallTime now = core_.clock().wall_time();
  if (served_.letters().has_bounds()) {
    SEMPER_CO_TRY_STATUS(co_await reap_letters(transaction, *target_, served_.letters(), 1, now));
  }
  // The tick that is given up, and what the entity does when it is told, may be of one timer, whose
  // row is written once.
  TimerBook timers;
  const TimerBook::Place place{transaction, transaction, target_->keys};
  const std::int64_t now_ms = to_timer_ms(now);
  if (held_.message.tick) {
    SEMPER_CO_TRY_STATUS(co_await timers.look(place, held_.message.tick->timer));
    timers.end(*held_.message.tick, now_ms);
  }
  timers.note(sends.timers, now_ms);
  if (timers.is_empty()) co_return std::nullopt;
  auto settled = co_await timers.settle(place, now_ms);
  if (settled && timers.has_cancelled()) {
    const KeyBook::Place keys{transaction, transaction, target_->tenant.prefix()};
    settled = co_await forget_cancelled(timers, keys, target_->id);
  }
  if (settled) co_return std::nullopt;
  // Over a limit, which it names; without one the store has no room, and it is tried again.
  const bool is_too_much =
      settled.error().kind() == ErrorKind::exhausted && settled.error().limit();
  if (!is_too_much) co_return fail(settled.error());
  co_return std::optional<Error>(settled.error());
}

bool LockRelease::write_letter(const Error& reason, Transaction& transaction, Entity& entity,
                               CallbackSends& sends, AfterCommit& after) {
  const Burial burial{{}, reason, runs_.count, runs_.first_ms};
  const DeadLetterRecord letter = letter_of(held_.message, burial, core_.clock().wall_time());
  const auto& keys = target_->keys;
  transaction.set_versionstamped_key(keys.dead_letter(0), keys.stamp_offset(),
                                     encode_dead_letter(letter));
  if (!tells_ || !served_.letters().has_callback) return true;
  auto told = CallbackRunner(served_, *target_, entity)
                  .run_dead_letter(transaction, letter_info(letter, reason), sends);
  if (!told) return true;
  if (told->error) {
    log_error("server",
              target_->id.to_string() +
                  ": handle_dead_letter failed, and the message is set aside without it: " +
                  told->error->to_string());
    tells_ = false;
    return false;
  }
  after.add(*told);
  return true;
}

// After the commit.
void LockRelease::finish(const LockedResult& made) const {
  served_.counters().messages.add();
  served_.counters().transactions.add();
  if (!made.handled) return served_.counters().dead_letters.add();
  const auto& control = made.handled->control;
  run_actions(control.actions, target_->id, made.state.get());
  if (control.next == Next::stop) {
    run_terminate(served_.behaviour(), target_->id, made.state.get(), control.stop_reason);
  }
}

}  // namespace semper::internal
