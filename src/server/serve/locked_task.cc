#include "server/serve/locked_task.h"

#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/store/too_old.h"
#include "server/format/dead_letter_mark.h"
#include "server/format/key_book.h"
#include "server/format/limit_rows.h"
#include "server/format/orders.h"
#include "server/format/replies.h"
#include "server/format/timer_book.h"
#include "server/send/call_chain.h"
#include "server/send/open_span.h"
#include "server/serve/callbacks.h"
#include "server/serve/entity.h"
#include "server/serve/full_queues.h"
#include "server/serve/letters.h"
#include "server/serve/waiting.h"

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

// What a holder and its renewing coroutine share.
struct LockedTask::Renewal {
  OneShot<std::monostate> over;            // for renew()
  OneShot<std::monostate> over_for_lease;  // for end_with_lease()
  std::stop_source lost;
  MonotonicTime renewed;  // of the upkeep's thread

  void end() {
    over.set({});
    over_for_lease.set({});
  }
};

// What handle_locked made.
struct LockedTask::Finished {
  Result<Handled> handled;
  std::shared_ptr<void> state = nullptr;
  LockedSends sends = {};
};

// Answers the holder however the callback's coroutine ends.
class LockedTask::Answer {
 public:
  explicit Answer(OneShot<Finished> done) : done_(std::move(done)) {}
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() {
    done_.set(Finished{fail(ErrorKind::closed, "the host ended while handle_locked ran")});
  }
  void give(Finished finished) { done_.set(std::move(finished)); }

 private:
  OneShot<Finished> done_;
};

LockedTask::LockedTask(std::shared_ptr<const ServedBehaviour> served,
                       std::shared_ptr<const Target> target)
    : served_(std::move(served)), core_(served_->core()), target_(std::move(target)) {}

Task<void> LockedTask::run(std::optional<Held> held) {
  while (!core_.stopping.stop_requested()) {
    if (!held) {
      auto waited = co_await wait_for_holder();
      if (!waited && is_too_old(waited.error())) continue;  // this process was stopped: look again
      // A newer host has written the state meanwhile: it is left to those, as whoever looks next
      // finds.
      if (!waited && waited.error().kind() == ErrorKind::unsupported) co_return;
      if (!waited) {
        log_warning("server", target_->id.to_string() +
                                  ": waiting for the lock: " + waited.error().to_string());
        co_await wait_for_news(core_, nullptr, {}, core_.options.lock_lease);
        continue;
      }
      if (!*waited) co_return;
      held = std::move(*waited);
    }
    served_->counters().locks.add(1);
    served_->heads().held(target_->id.id);
    Status released;
    std::optional<Error> thrown;
    try {
      released = co_await hold(*held);
    } catch (...) {  // a thread that could not be started, or memory that ran out
      thrown = exception_error(target_->id.to_string(), std::current_exception());
    }
    served_->counters().locks.add(-1);
    served_->heads().released(target_->id.id, core_.clock().now());
    if (thrown && !SEMPER_MUTANT("server_lock_without_threads_is_kept")) {
      co_return co_await give_up_turn(*held, *thrown);
    }
    if (!released) {
      log_warning("server", target_->id.to_string() + ": the locked result was not written: " +
                                released.error().to_string());
    }
    co_return;
  }
  if (held) co_await leave_or_say(*held);
}

Task<void> LockedTask::leave_or_say(const Held& held) {
  const Status left = co_await leave(held);
  if (left) co_return;
  log_warning("server", target_->id.to_string() +
                            ": the lock was not released, others wait for "
                            "its lease: " +
                            left.error().to_string());
}

// The message was not handled, and it is not its fault: nothing is counted. Another host may have
// it now, or this one again in a while.
Task<void> LockedTask::give_up_turn(const Held& held, const Error& why) {
  core_.trouble.failed(core_.clock().now(),
                       target_->id.to_string() + " is not handled under its lock", why);
  co_await leave_or_say(held);
  co_await wait_for_news(core_, nullptr, {}, core_.options.lock_lease);
}

// Returns when the lock is gone (nothing), or was taken over.
Async<std::optional<LockedTask::Held>> LockedTask::wait_for_holder() {
  const auto& keys = target_->keys;
  // Of holders that do not say theirs: hosts of 0.1.0.
  const Duration unsaid = std::max(core_.options.lock_lease, HostOptions().lock_lease);
  std::optional<std::pair<std::uint64_t, std::uint64_t>> last;
  Attention attention;
  Duration unchanged_since{};
  while (!core_.stopping.stop_requested()) {
    Transaction transaction = core_.store().begin();
    SEMPER_CO_TRY(const auto standing,
                  co_await read_standing(transaction, keys, ReadMode::serializable));
    const Header& header = standing.header;
    if (!header.lock) co_return std::nullopt;
    SEMPER_CO_TRY(const auto row, co_await transaction.get(keys.lock_renewal()));
    const auto renewal = LockRenewal::decode(row);
    const Duration lease = renewal.lease.value_or(unsaid);
    const std::pair seen{header.lock->nonce, renewal.renewals};
    const Duration now = attention.look(core_.clock().now(), step_maximum(look_interval(lease)));
    if (last != seen) {
      last = seen;
      unchanged_since = now;
    }
    Duration idle = now - unchanged_since;
    if (SEMPER_MUTANT("server_lease_by_the_calendar")) {
      idle = core_.clock().wall_time().time_since_epoch() -
             std::chrono::milliseconds(header.lock->acquired_ms);
    }
    if (idle >= lease || renewal.is_left()) {
      auto held = co_await take_over(seen.first, renewal);
      if (held || held.error().kind() != ErrorKind::conflict) co_return held;
      // It is looked at again, at a pace that leaves the loop to others.
      co_await wait_for_news(core_, nullptr, {}, kLookIntervalMinimum);
      continue;
    }
    SEMPER_CO_TRY(auto watch, co_await transaction.watch(keys.header()));
    if (SEMPER_MUTANT("server_stop_waits_for_anothers_lock")) {
      static_cast<void>(co_await watch->changed(core_.clock().after(look_interval(lease))));
      continue;
    }
    co_await wait_for_news(core_, std::move(watch), {}, look_interval(lease));
  }
  co_return std::nullopt;
}

// Makes the lock of this nonce ours. Error: conflict where it changed meanwhile.
Async<std::optional<LockedTask::Held>> LockedTask::take_over(std::uint64_t nonce,
                                                             const LockRenewal& last) {
  Entity entity(target_);
  Transaction transaction = core_.store().begin();
  SEMPER_CO_TRY_STATUS(co_await entity.load(transaction, served_->behaviour(), 1));
  auto& header = entity.header();
  const bool has_message = !entity.segments().empty();
  const bool is_changed = !header.lock || header.lock->nonce != nonce;
  if (is_changed || (!has_message && SEMPER_MUTANT("server_lock_without_a_message_is_kept"))) {
    co_return fail(ErrorKind::conflict, "the lock has changed");
  }
  if (!has_message) {
    // A recording without its queue was restored, or something like that.
    log_warning("server", target_->id.to_string() + ": its lock is for no message, and is removed");
    SEMPER_CO_TRY_STATUS(co_await remove_lock(entity, transaction));
    co_return std::nullopt;
  }
  const auto& messages = entity.segments().front().messages;
  if (header.head_offset >= messages.size()) {
    co_return fail(ErrorKind::corrupt,
                   "the header's first message is number " + std::to_string(header.head_offset) +
                       " of a queue segment with " + std::to_string(messages.size()));
  }
  Held held;
  held.message = messages[header.head_offset];
  held.vanished = last.vanished + (last.is_left() ? 0 : 1);
  if (held.vanished >= kLockHoldersVanished) {
    held.nonce = nonce;
    SEMPER_CO_TRY_STATUS(co_await set_aside(std::move(held)));
    co_return std::nullopt;
  }
  held.nonce = core_.env().random->next();
  const std::string before = header.lock->owner;
  const auto now = core_.clock().wall_time().time_since_epoch();
  if (!entity.has_state()) {
    // It was reset meanwhile: the message is handled from its beginning.
    SEMPER_CO_TRY_STATUS(co_await remove_lock(entity, transaction));
    co_return std::nullopt;
  }
  header.lock = LockRecord{held.nonce, core_.name,
                           std::chrono::duration_cast<std::chrono::milliseconds>(now).count()};
  const LockRenewal first{1, core_.options.lock_lease, held.vanished};
  transaction.set(target_->keys.lock_renewal(), first.encode());
  SEMPER_CO_TRY_STATUS(entity.save(transaction, served_->behaviour()));
  SEMPER_CO_TRY(const auto stamp, co_await transaction.commit());
  entity.committed(stamp, false);
  held.encoded_state = entity.encoded();
  held.state_version = header.state_version;
  held.fencing_token = stamp.version();
  served_->counters().takeovers.add();
  log_warning("server", target_->id.to_string() + ": took the lock over from " + before +
                            (last.is_left() ? ", which was stopped" : ", which did not renew it"));
  co_return held;
}

Async<void> LockedTask::remove_lock(Entity& entity, Transaction& transaction) {
  entity.header().lock.reset();
  SEMPER_CO_TRY_STATUS(entity.save(transaction, served_->behaviour()));
  transaction.clear(target_->keys.lock_renewal());
  free_place(transaction);
  SEMPER_CO_TRY_STATUS(co_await transaction.commit());
  co_return Status{};
}

void LockedTask::free_place(Transaction& transaction) const {
  if (!served_->has_places()) return;
  internal::free_place(transaction, *target_, served_->throttle()->keys_of(target_->id));
}

// The lock that nobody has held to the end: its message becomes a dead letter, its caller is told.
Async<void> LockedTask::set_aside(Held held) {
  const std::string holders = std::to_string(held.vanished);
  Result<Handled> given_up =
      fail(Error(ErrorKind::internal,
                 "the processes that held its lock ended, or stopped renewing it, before "
                 "handle_locked was done, " +
                     holders + " in a row; what it does (memory, stack, abort) is in their logs")
               .in("after " + holders + " holders"));
  runs_ = held.vanished;
  tells_ = false;  // nobody knows whether that would end its processes, too
  std::optional<Error> why;
  const LockedSends nothing;
  SEMPER_CO_TRY(const Written written, co_await try_release(held, given_up, nullptr, nothing, why));
  if (written != Written::yes) co_return fail(ErrorKind::conflict, "the lock has changed");
  failed(held, FailedRun::Next::dead_letter, {}, given_up.error());
  log_warning("server", target_->id.to_string() + ": " + held.message.content.name +
                            " was set aside: " + given_up.error().message());
  co_return Status{};
}

// The host stops and the message is not handled: whoever comes need not wait for the lease.
Async<void> LockedTask::leave(const Held& held) {
  const auto& keys = target_->keys;
  co_return co_await core_.store().transact([&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY(const auto standing,
                  co_await read_standing(transaction, keys, ReadMode::serializable));
    const auto& lock = standing.header.lock;
    if (!lock || lock->nonce != held.nonce) co_return Status{};
    const LockRenewal left{0, core_.options.lock_lease, held.vanished};
    transaction.set(keys.lock_renewal(), left.encode());
    co_return Status{};
  });
}

Async<void> LockedTask::hold(const Held& held) {
  auto renewal = std::make_shared<Renewal>();
  const std::stop_callback on_host_stop(core_.stopping.get_token(),
                                        [renewal] { renewal->lost.request_stop(); });
  struct EndRenewal {
    std::shared_ptr<Renewal> renewal;
    ~EndRenewal() { renewal->end(); }
  } end_renewal{renewal};
  renewal->renewed = core_.clock().now();
  const Executor upkeep = core_.threads->upkeep();  // both on this one: they share the renewal
  asio::co_spawn(upkeep, end_with_lease(shared_from_this(), renewal), asio::detached);
  asio::co_spawn(upkeep, renew(shared_from_this(), held.nonce, held.vanished, renewal),
                 asio::detached);
  Backoff backoff(core_.options.message_backoff, *core_.env().random);
  first_run_ms_ = in_milliseconds(core_.clock().wall_time());
  for (int attempt = 1;; ++attempt) {
    runs_ = static_cast<std::uint64_t>(attempt);
    std::shared_ptr<void> state;
    LockedSends sends;
    auto handled = co_await handle_elsewhere(held, state, sends, renewal->lost.get_token());
    const bool has_failed = !handled && handled.error().kind() == ErrorKind::internal;
    if (has_failed && renewal->lost.stop_requested()) {
      renewal->end();
      if (core_.stopping.stop_requested()) {
        const Status left = co_await leave(held);
        if (!left) co_return fail(left.error());
      }
      co_return fail(handled.error());  // whoever holds the lock now, or next, handles the message
    }
    if (has_failed && attempt < served_->message_attempts()) {
      const Duration pause = backoff.next();
      failed(held, FailedRun::Next::retry, pause, handled.error());
      co_await wait_for_news(core_, nullptr, {}, pause);
      if (!core_.stopping.stop_requested()) continue;
      renewal->end();
      SEMPER_CO_TRY_STATUS(co_await leave(held));
      co_return fail(handled.error());
    }
    if (has_failed) failed(held, FailedRun::Next::dead_letter, {}, handled.error());
    co_return co_await release(held, std::move(handled), std::move(state), std::move(sends));
  }
}

void LockedTask::failed(const Held& held, FailedRun::Next next, Duration wait,
                        const Error& error) const {
  FailedRun run;
  run.message = held.message.content.name;
  run.event = held.message.event;
  run.how = FailedRun::How::locked;
  run.attempt = runs_;
  run.of = served_->message_attempts();
  run.next = next;
  run.wait = wait;
  served_->failed(target_->id, run, error);
}

// Runs the callback on a thread that it may block.
Async<Handled> LockedTask::handle_elsewhere(const Held& held, std::shared_ptr<void>& state,
                                            LockedSends& sends, std::stop_token lost) {
  OneShot<Finished> done;
  const auto& sent = held.message.content.trace;
  SpanBuffer* const spans = core_.options.spans;
  const auto span = open_span(spans, core_.env(), sent, "locked", target_->id,
                              held.message.content.name, SpanKind::consumer);
  trace_ = span ? span->trace : sent;
  const auto frame = std::make_shared<CallFrame>(target_, CallFrame::Waits::under_lock,
                                                 held.message.chain, trace_);
  asio::co_spawn(with_tag(core_.threads->locked(), frame),
                 run_callback(shared_from_this(), held, std::move(lost), done), asio::detached);
  auto ended = co_await done.wait();
  frame->end();
  if (span) {
    std::optional<Error> error;
    if (!ended) {
      error = ended.error();
    } else if (!ended->handled) {
      error = ended->handled.error();
    }
    spans->add(close_span(*span, core_.env(), error));
  }
  SEMPER_CO_TRY(auto finished, std::move(ended));
  state = std::move(finished.state);
  sends = std::move(finished.sends);
  co_return std::move(finished.handled);
}

Task<void> LockedTask::run_callback(std::shared_ptr<LockedTask> self, Held held,
                                    std::stop_token lost, OneShot<Finished> done) {
  Answer answer(std::move(done));
  Finished finished{fail(ErrorKind::internal, "")};
  try {
    finished.handled = co_await self->handle(held, finished.state, finished.sends, std::move(lost));
  } catch (...) {
    finished.handled =
        fail(exception_error(self->target_->id.to_string(), std::current_exception()));
  }
  answer.give(std::move(finished));
}

Async<Handled> LockedTask::handle(const Held& held, std::shared_ptr<void>& state,
                                  LockedSends& sends, std::stop_token lost) {
  auto& behaviour = served_->behaviour();
  const bool is_outdated = held.state_version < behaviour.state_version();
  auto decoded = is_outdated
                     ? behaviour.upgrade_state(target_->id, held.state_version, held.encoded_state)
                     : behaviour.decode_state(held.encoded_state);
  // As a failed attempt of the message.
  if (!decoded && is_outdated) co_return fail(ErrorKind::internal, decoded.error().message());
  if (!decoded) co_return fail(ErrorKind::corrupt, decoded.error().message());
  state = std::move(*decoded);
  std::optional<Tick> tick;
  if (held.message.tick) tick = tick_of(*held.message.tick);
  LockedContext context({&target_->id, &target_->tenant, core_.env(), held.message.event,
                         held.fencing_token, std::move(lost), &sends, tick ? &*tick : nullptr,
                         trace_});
  auto handled = co_await served_->behaviour().handle_locked(
      held.message.content.name, held.message.content.payload, state.get(), context);
  if (handled && handled->control.next == Next::lock) {
    co_return fail(ErrorKind::invalid_argument, "handle_locked asked for the lock that it holds");
  }
  co_return handled;
}

Task<void> LockedTask::renew(std::shared_ptr<LockedTask> self, std::uint64_t nonce,
                             std::uint64_t vanished, std::shared_ptr<Renewal> renewal) {
  auto& core = self->core_;
  const auto& keys = self->target_->keys;
  const Duration lease = core.options.lock_lease;
  LockRenewal row{1, lease, vanished};
  while (true) {
    const MonotonicTime next = core.clock().after(renewal_interval(lease));
    auto over = co_await renewal->over.wait_until(core.clock(), next);
    if (over || over.error().kind() != ErrorKind::timeout) co_return;
    ++row.renewals;
    // The lease that others see begins with the commit, and an answer may be late.
    const MonotonicTime began = core.clock().now();
    auto result = co_await core.store().transact([&](Transaction& transaction) -> Async<bool> {
      SEMPER_CO_TRY(const auto standing,
                    co_await read_standing(transaction, keys, ReadMode::serializable));
      const auto& lock = standing.header.lock;
      if (!lock || lock->nonce != nonce) co_return false;
      transaction.set(keys.lock_renewal(), row.encode());
      co_return true;
    });
    if (result && *result) renewal->renewed = began;
    const bool gone = result && !*result;
    if (gone && !renewal->over.is_set()) renewal->lost.request_stop();
    if (gone) co_return;
  }
}

// Not renewed for so long that another host may have it by now, however long the store takes to
// answer the renewal that is under way. Where nobody has it, it is renewed again as soon as the
// store allows.
Task<void> LockedTask::end_with_lease(std::shared_ptr<LockedTask> self,
                                      std::shared_ptr<Renewal> renewal) {
  auto& core = self->core_;
  while (!SEMPER_MUTANT("server_lock_loss_noticed_late")) {
    const MonotonicTime end = renewal->renewed + core.options.lock_lease;
    if (core.clock().now() >= end) {
      renewal->lost.request_stop();
      co_return;
    }
    auto over = co_await renewal->over_for_lease.wait_until(core.clock(), end);
    if (over || over.error().kind() != ErrorKind::timeout) co_return;
  }
}

Async<void> LockedTask::release(const Held& held, Result<Handled> handled,
                                std::shared_ptr<void> state, LockedSends sends) {
  Backoff backoff(kReleaseBackoff, *core_.env().random);
  std::optional<MonotonicTime> last_attempt;  // once the host stops
  MonotonicTime warn_at = core_.clock().now();
  std::optional<MonotonicTime> room_until;  // once a queue that it sends to is full
  bool unknown = false;
  while (true) {
    std::optional<Error> why;
    const auto written = co_await try_release(held, handled, state, sends, why);
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
      failed(held, FailedRun::Next::dead_letter, {}, *why);
      handled = fail(*why);
      continue;
    }
    const Error& error = has_no_room ? *why : written.error();
    if (error.kind() == ErrorKind::unsupported) {
      // A newer host wrote the state while the callback ran, with a priority message: this result
      // is of the one before. The message is handled again by a host that knows the new one.
      SEMPER_CO_TRY_STATUS(co_await leave(held));
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

Async<LockedTask::Written> LockedTask::try_release(const Held& held, const Result<Handled>& handled,
                                                   const std::shared_ptr<void>& state,
                                                   const LockedSends& sends,
                                                   std::optional<Error>& why) {
  Entity entity(target_);
  Transaction transaction = core_.store().begin();
  SEMPER_CO_TRY_STATUS(co_await entity.load(transaction, served_->behaviour(), 1));
  auto& header = entity.header();
  const bool is_ours = header.lock && (header.lock->nonce == held.nonce ||
                                       SEMPER_MUTANT("server_fencing_not_checked"));
  if (!is_ours || entity.segments().empty()) {
    co_return Written::lock_gone;
  }
  if (handled && !entity.has_state() && !SEMPER_MUTANT("server_lock_undoes_a_reset")) {
    // It was reset meanwhile, and what was made of the state before that is not for the next one:
    // the message is handled from its beginning.
    header.lock.reset();
    SEMPER_CO_TRY_STATUS(entity.save(transaction, served_->behaviour()));
    transaction.clear(target_->keys.lock_renewal());
    free_place(transaction);
    transaction.set(target_->keys.index(), {});
    transaction.add(target_->keys.wake(), 1);
    SEMPER_CO_TRY_STATUS(co_await transaction.commit());
    co_return Written::lock_gone;
  }
  header.lock.reset();
  header.popped += 1;
  header.head_offset += 1;
  if (header.head_offset == entity.segments().front().messages.size()) {
    transaction.clear(entity.segments().front().key);
    header.head_offset = 0;
  }
  transaction.clear(target_->keys.lock_renewal());
  free_place(transaction);
  AfterCommit after;
  CallbackSends asked;
  std::optional<Bytes> reply;
  const bool call = held.message.event == Event::call;
  if (handled) {
    entity.replace_state(state);
    if (call && handled->error) {
      reply = encode_reply_error(*handled->error);
    } else if (call && handled->replied) {
      reply = encode_reply_within(handled->reply, transaction.limits());
    }
  } else {
    reply = encode_reply_error(as_dead_letter(handled.error(), runs_));
    SEMPER_CO_TRY(why, co_await give_up(held, handled.error(), transaction, entity, asked, after));
  }
  if (handled && held.message.tick) {
    SEMPER_CO_TRY_STATUS(co_await end_tick(transaction, *held.message.tick));
  }
  Status sent;
  asked.counts = &core_.send_counts;
  if (handled) sent = send(transaction, held, sends, asked);
  if (sent && handled) {
    SEMPER_CO_TRY(const auto full, co_await find_full_queue(core_, *target_, transaction, asked,
                                                            entity.queue_length()));
    if (full) {
      why = queue_is_full(*full);
      // In its own queue there is no room before this message is done.
      co_return *full == target_->id ? Written::refused : Written::no_room;
    }
  }
  if (held.message.key || !asked.keyed_answers.empty()) {
    const auto state_of_key = handled ? KeyRecord::State::done : KeyRecord::State::failed;
    SEMPER_CO_TRY_STATUS(co_await settle_keys(transaction, held, reply, state_of_key, asked));
  }
  if (call && reply) {
    std::vector<OutgoingReply> replies;
    replies.push_back({held.message.caller, std::move(*reply)});
    SEMPER_CO_TRY_STATUS(co_await write_replies(transaction, target_->tenant.prefix(), replies));
  }
  const auto saved = entity.save(transaction, served_->behaviour());
  const auto& limits = transaction.limits();
  if (!sent) {
    why = sent.error();
  } else if (!saved) {
    why = saved.error();
  } else if (transaction.size_bytes() > limits.transaction_bytes ||
             transaction.operation_count() > limits.transaction_operations) {
    const bool by_size = transaction.size_bytes() > limits.transaction_bytes;
    const Limit limit = by_size ? Limit{"transaction_bytes", limits.transaction_bytes}
                                : Limit{"transaction_operations", limits.transaction_operations};
    why = Error(ErrorKind::exhausted, limit,
                "the result of handle_locked is more than one transaction of the store takes");
  }
  if (why && handled) co_return Written::refused;
  if (why && tells_ && served_->letters().has_callback) {
    log_error("server", target_->id.to_string() +
                            ": what handle_dead_letter came to cannot be written, and the message "
                            "is set aside without it: " +
                            why->to_string());
    tells_ = false;
    co_return fail(ErrorKind::conflict, "again, without handle_dead_letter");
  }
  if (why) co_return fail(*why);
  const MonotonicTime commit_began = core_.clock().now();
  SEMPER_CO_TRY_STATUS(co_await transaction.commit());
  export_spans(asked, core_.env(), commit_began);
  served_->counters().messages.add();
  served_->counters().transactions.add();
  if (!handled) served_->counters().dead_letters.add();
  if (handled) finish(*handled, state.get());
  if (!after.is_nothing()) CallbackRunner(*served_, *target_, entity).follow_up(after);
  co_return Written::yes;
}

// The key of the message, and of calls that are answered with its result. `reply`: the message's,
// to its caller; one that was given while it ran takes its place.
Async<void> LockedTask::settle_keys(Transaction& transaction, const Held& held,
                                    std::optional<Bytes>& reply, KeyRecord::State state,
                                    const CallbackSends& asked) {
  const auto& message = held.message;
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

Status LockedTask::send(Transaction& transaction, const Held& held, const LockedSends& sends,
                        CallbackSends& of_all) {
  std::vector<Action> none;  // its steps ask for nothing that follows the commit
  Context context({&target_->tenant, &target_->id, &transaction, core_.env(),
                   core_.clock().wall_time(), held.message.event, held.message.caller, &of_all,
                   &none, nullptr, trace_});
  if (trace_ && trace_->context.is_sampled() && core_.options.spans != nullptr) {
    of_all.spans = std::make_shared<SpansOfAttempt>(*core_.options.spans);
    of_all.spans->runs.push_back(
        {trace_->context, target_->id.type + "." + held.message.content.name});
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
Async<void> LockedTask::end_tick(Transaction& transaction, const TickRecord& tick) {
  TimerBook timers;
  const TimerBook::Place place{transaction, transaction, target_->keys};
  SEMPER_CO_TRY_STATUS(co_await timers.look(place, tick.timer));
  const std::int64_t now = to_timer_ms(core_.clock().wall_time());
  timers.end(tick, now);
  co_return co_await timers.settle(place, now);
}

// Returns why what handle_dead_letter came to cannot be written, where that is so.
Async<std::optional<Error>> LockedTask::give_up(const Held& held, const Error& reason,
                                                Transaction& transaction, Entity& entity,
                                                CallbackSends& sends, AfterCommit& after) {
  if (!bury(held, reason, transaction, entity, sends, after)) {
    co_return fail(ErrorKind::conflict, "again, without handle_dead_letter");
  }
  const WallTime now = core_.clock().wall_time();
  if (served_->letters().has_bounds()) {
    SEMPER_CO_TRY_STATUS(co_await reap_letters(transaction, *target_, served_->letters(), 1, now));
  }
  // The tick that is given up, and what the entity does when it is told, may be of one timer, whose
  // row is written once.
  TimerBook timers;
  const TimerBook::Place place{transaction, transaction, target_->keys};
  const std::int64_t now_ms = to_timer_ms(now);
  if (held.message.tick) {
    SEMPER_CO_TRY_STATUS(co_await timers.look(place, held.message.tick->timer));
    timers.end(*held.message.tick, now_ms);
  }
  timers.note(sends.timers, now_ms);
  if (timers.is_empty()) co_return std::nullopt;
  const auto settled = co_await timers.settle(place, now_ms);
  if (settled) co_return std::nullopt;
  if (settled.error().kind() != ErrorKind::exhausted) co_return fail(settled.error());
  co_return std::optional<Error>(settled.error());
}

bool LockedTask::bury(const Held& held, const Error& reason, Transaction& transaction,
                      Entity& entity, CallbackSends& sends, AfterCommit& after) {
  const Burial burial{{}, reason, runs_, first_run_ms_};
  const DeadLetterRecord letter = letter_of(held.message, burial, core_.clock().wall_time());
  const auto& keys = target_->keys;
  transaction.set_versionstamped_key(keys.dead_letter(0), keys.stamp_offset(),
                                     encode_dead_letter(letter));
  if (!tells_ || !served_->letters().has_callback) return true;
  auto told = CallbackRunner(*served_, *target_, entity)
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
void LockedTask::finish(const Handled& handled, const void* state) {
  run_actions(handled.control.actions, target_->id, state);
  if (handled.control.next == Next::stop) {
    run_terminate(served_->behaviour(), target_->id, state, handled.control.stop_reason);
  }
}

}  // namespace semper::internal
