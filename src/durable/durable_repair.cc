// Eager repair: a loop beside the callers that looks, probes and heals.
#include <exception>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/durable/internal/durable_core.h"
#include "semper/env/serial.h"

namespace semper::internal {

void DurableCore::start_repair() {
  if (!settings_.repair_every) return;
  SEMPER_ASSERT(settings_.executor, "eager repair (repair_every) needs an executor to run on");
  SEMPER_ASSERT(*settings_.repair_every > Duration::zero(), "repair_every is a time between looks");
  auto loop = std::make_shared<Cancellable>();
  {
    std::lock_guard lock(mutex_);
    repair_ = loop;
  }
  Cancellable::start(loop, serial_executor(settings_.executor), repair_loop(shared_from_this()));
}

Task<void> DurableCore::repair_loop(std::shared_ptr<DurableCore> core) {
  auto inside = core->builders_.enter();
  if (!inside) co_return;  // closed before it began
  try {
    while (true) {
      OneShot<std::monostate> wake;
      {
        std::lock_guard lock(core->mutex_);
        if (core->closed_) co_return;
        core->repair_wake_ = wake;
      }
      const bool intact = co_await core->repair_once();
      static_cast<void>(
          co_await wake.wait_until(*core->settings_.env.clock, core->next_repair(intact)));
    }
  } catch (const std::exception&) {
    // Cancelled by close(): Asio throws out of the next wait.
  }
}

// Looks, and heals what is broken. True: it is intact.
Task<bool> DurableCore::repair_once() {
  Turns::Turn turn;
  if (is_exclusive()) {
    turn = settings_.turns->try_take(settings_.place);
    if (!turn) co_return true;  // it is in use, and its user will see to it
  }
  HeldPointer held = present();
  if (held) {
    auto broken = is_broken(*held);
    if (!broken) co_return false;  // it cannot be judged: look again later
    if (!*broken && hooks_.probe) {
      CutOffProbe cut_off(*this, held);
      auto probed = co_await probe(held, kNever);
      cut_off.has_ended();
      if (!probed) note_probe_failed(held, probed.error());
      if (probed) held->was_of_use.store(true, std::memory_order_relaxed);
      *broken = !probed;
    }
    if (!*broken) {
      if (!held->announced_intact.load(std::memory_order_relaxed)) announce_intact(held);
      co_return true;
    }
  }
  if (SEMPER_MUTANT("durable_repair_heals_nothing")) co_return false;
  const Call once{kNever, WhenDown::fail};  // the loop keeps the pauses
  // Without a share of the old value: with Overlap::never the attempt waits until that one is gone.
  auto healed = co_await heal(std::move(held), once);
  // Who waits for the turn has waited for this attempt, unless another place can serve it.
  if (!healed && turn && settings_.turns->places() == 1) {
    settings_.turns->fail_waiting(healed.error());
  }
  co_return healed.has_value();
}

// Answers for a probe whose coroutine is destroyed before it ends.
struct DurableCore::ProbeAnswer {
  explicit ProbeAnswer(OneShot<Status> to) : answer(std::move(to)) {}
  ProbeAnswer(const ProbeAnswer&) = delete;
  ProbeAnswer& operator=(const ProbeAnswer&) = delete;
  ~ProbeAnswer() {
    answer.set(fail(ErrorKind::closed, "the executor of what the probe waited for is gone"));
  }
  OneShot<Status> answer;
};

DurableCore::CutOffProbe::~CutOffProbe() {
  if (!has_ended_ && core_.is_exclusive()) core_.note_cut_off(*held_, "its probe was cut off");
}

Async<void> DurableCore::probe(HeldPointer held, MonotonicTime latest) {
  Executor executor = settings_.executor;
  if (!executor) executor = co_await asio::this_coro::executor;
  OneShot<Status> answer;
  auto task = std::make_shared<Cancellable>();
  CancelOnExit cancel(task);
  CancellableDeadline deadline;
  if (settings_.attempt_deadline != kForever) {
    deadline.clock = settings_.env.clock;
    deadline.when = settings_.env.clock->after(settings_.attempt_deadline);
    deadline.on_passed = [answer]() mutable {
      answer.set(fail(ErrorKind::timeout, "the probe passed attempt_deadline"));
    };
  }
  Cancellable::start(
      task, serial_executor(executor),
      ask_probe(shared_from_this(), std::move(held), std::make_unique<ProbeAnswer>(answer)),
      std::move(deadline));
  auto answered = co_await answer.wait_until(clock(), latest);
  if (!answered) co_return fail(answered.error());
  co_return std::move(*answered);
}

Task<void> DurableCore::ask_probe(std::shared_ptr<DurableCore> core, HeldPointer held,
                                  std::unique_ptr<ProbeAnswer> to) {
  auto inside = core->builders_.enter();
  if (!inside) {
    to->answer.set(fail(inside.error()));
    co_return;
  }
  Status probed = fail(ErrorKind::internal, core->settings_.name + ": the probe threw");
  try {
    probed = co_await core->hooks_.probe(std::move(held));
  } catch (...) {
    // As it is above.
  }
  to->answer.set(std::move(probed));
}

MonotonicTime DurableCore::next_repair(bool intact) {
  const auto next_look = settings_.env.clock->after(*settings_.repair_every);
  std::lock_guard lock(mutex_);
  if (intact || !pace_) return next_look;
  const auto next_attempt = pace_->next_attempt();
  return next_attempt > settings_.env.clock->now() ? next_attempt : next_look;
}

void DurableCore::wake_repair() {
  OneShot<std::monostate> wake;
  {
    std::lock_guard lock(mutex_);
    wake = repair_wake_;
  }
  wake.set({});
}

}  // namespace semper::internal
