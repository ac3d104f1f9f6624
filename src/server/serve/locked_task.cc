#include "server/serve/locked_task.h"

#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/env/backoff.h"
#include "semper/store/too_old.h"
#include "server/format/lease.h"
#include "server/format/orders.h"
#include "server/send/call_chain.h"
#include "server/send/open_span.h"
#include "server/serve/callbacks.h"
#include "server/serve/entity.h"
#include "server/serve/letters.h"
#include "server/serve/lock_release.h"
#include "server/serve/lock_watch.h"
#include "server/serve/waiting.h"

namespace semper::internal {

// What a holder and its renewing coroutine share.
struct LockedTask::Renewal {
  OneShot<std::monostate> over;            // for renew()
  OneShot<std::monostate> over_for_lease;  // for end_with_lease()
  StopSource lost;
  MonotonicTime renewed;  // of the upkeep's thread

  void end() {
    over.set({});
    over_for_lease.set({});
  }
};

// Answers the holder however the callback's coroutine ends.
class LockedTask::Answer {
 public:
  explicit Answer(OneShot<LockedResult> done) : done_(std::move(done)) {}
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;
  ~Answer() {
    done_.set(LockedResult{fail(ErrorKind::closed, "the host ended while handle_locked ran")});
  }
  void give(LockedResult finished) { done_.set(std::move(finished)); }

 private:
  OneShot<LockedResult> done_;
};

LockedTask::LockedTask(std::shared_ptr<const ServedBehaviour> served,
                       std::shared_ptr<const Target> target)
    : served_(std::move(served)), core_(served_->core()), target_(std::move(target)) {}

Task<void> LockedTask::run(std::optional<HeldLock> held) {
  while (!core_.stopping.stop_requested()) {
    if (!held) {
      LockWatch watch(*served_, target_);
      auto waited = co_await watch.wait();
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

Task<void> LockedTask::leave_or_say(const HeldLock& held) {
  const Status left = co_await leave_lock(core_, *target_, held);
  if (left) co_return;
  log_warning("server", target_->id.to_string() +
                            ": the lock was not released, others wait for "
                            "its lease: " +
                            left.error().to_string());
}

// The message was not handled, and it is not its fault: nothing is counted. Another host may have
// it now, or this one again in a while.
Task<void> LockedTask::give_up_turn(const HeldLock& held, const Error& why) {
  core_.trouble.failed(core_.clock().now(),
                       target_->id.to_string() + " is not handled under its lock", why);
  co_await leave_or_say(held);
  co_await wait_for_news(core_, nullptr, {}, core_.options.lock_lease);
}

Async<void> LockedTask::hold(const HeldLock& held) {
  auto renewal = std::make_shared<Renewal>();
  const StopCallback on_host_stop(core_.stopping.get_token(),
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
  const std::int64_t first_run_ms = in_milliseconds(core_.clock().wall_time());
  for (int attempt = 1;; ++attempt) {
    const auto runs = static_cast<std::uint64_t>(attempt);
    auto made = co_await handle_elsewhere(held, renewal->lost.get_token());
    const auto& handled = made.handled;
    const bool has_failed = !handled && handled.error().kind() == ErrorKind::internal;
    if (has_failed && renewal->lost.stop_requested()) {
      renewal->end();
      if (core_.stopping.stop_requested()) {
        const Status left = co_await leave_lock(core_, *target_, held);
        if (!left) co_return fail(left.error());
      }
      co_return fail(handled.error());  // whoever holds the lock now, or next, handles the message
    }
    if (has_failed && attempt < served_->message_attempts()) {
      const Duration pause = backoff.next();
      report_locked_run(*served_, *target_, held, runs, FailedRun::Next::retry, pause,
                        handled.error());
      co_await wait_for_news(core_, nullptr, {}, pause);
      if (!core_.stopping.stop_requested()) continue;
      renewal->end();
      SEMPER_CO_TRY_STATUS(co_await leave_lock(core_, *target_, held));
      co_return fail(handled.error());
    }
    if (has_failed) {
      report_locked_run(*served_, *target_, held, runs, FailedRun::Next::dead_letter, {},
                        handled.error());
    }
    LockRelease release(*served_, target_, held, {runs, first_run_ms}, trace_);
    co_return co_await release.write(std::move(made));
  }
}

// Runs the callback on a thread that it may block.
Task<LockedResult> LockedTask::handle_elsewhere(const HeldLock& held, StopToken lost) {
  OneShot<LockedResult> done;
  const auto& sent = held.message.content.trace;
  SpanBuffer* const spans = core_.options.spans;
  const auto span = open_span(spans, core_.env(), sent, "locked", target_->id,
                              held.message.content.name, SpanKind::consumer);
  trace_ = span ? span->trace : sent;
  const auto frame = std::make_shared<CallFrame>(target_, CallFrame::Waits::under_lock,
                                                 held.message.chain, trace_, core_.options.spans);
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
  if (ended) co_return std::move(*ended);
  LockedResult nothing{fail(ended.error())};
  co_return nothing;
}

Task<void> LockedTask::run_callback(std::shared_ptr<LockedTask> self, HeldLock held, StopToken lost,
                                    OneShot<LockedResult> done) {
  Answer answer(std::move(done));
  LockedResult finished{fail(ErrorKind::internal, "")};
  try {
    finished.handled = co_await self->handle(held, finished.state, finished.sends, std::move(lost));
  } catch (...) {
    finished.handled =
        fail(exception_error(self->target_->id.to_string(), std::current_exception()));
  }
  answer.give(std::move(finished));
}

Async<Handled> LockedTask::handle(const HeldLock& held, std::shared_ptr<void>& state,
                                  LockedSends& sends, StopToken lost) {
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

}  // namespace semper::internal
