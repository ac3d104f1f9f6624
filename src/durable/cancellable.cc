#include "semper/durable/cancellable.h"

#include <exception>
#include <utility>

#include "semper/base/assert.h"

namespace semper::internal {

void Cancellable::start(const std::shared_ptr<Cancellable>& self, const Executor& serial,
                        Task<void> work, CancellableDeadline deadline) {
  asio::co_spawn(
      serial, std::move(work),
      asio::bind_cancellation_slot(self->signal_.slot(), [self](std::exception_ptr thrown) {
        SEMPER_ASSERT(!thrown, "what runs beside its owner reports errors, it does not throw");
        self->end();
      }));
  // Only now: co_spawn uses the signal on this thread.
  auto emit = [self, on_passed = std::move(deadline.on_passed)](const Fired& how) {
    if (self->ended_) return;
    if (!how && on_passed) on_passed();
    self->signal_.emit(asio::cancellation_type::terminal);
  };
  auto bound = asio::bind_executor(serial, std::move(emit));
  std::unique_ptr<Waiter<std::monostate>> trigger =
      std::make_unique<WaiterOf<std::monostate, decltype(bound)>>(std::move(bound));
  bool cancelled = false;
  {
    std::lock_guard lock(self->mutex_);
    if (self->over_) return;
    self->trigger_ = std::move(trigger);
    cancelled = self->cancelled_early_;
    if (deadline.when != kNever) {
      self->clock_ = deadline.clock;
      self->timer_ =
          deadline.clock->call_at(deadline.when, [weak = std::weak_ptr<Cancellable>(self)] {
            auto alive = weak.lock();
            if (alive) alive->fire(fail(ErrorKind::timeout, "the deadline passed"));
          });
    }
  }
  if (cancelled) self->cancel();
}

void Cancellable::fire(Fired how) {
  std::unique_ptr<Waiter<std::monostate>> taken;
  {
    std::lock_guard lock(mutex_);
    if (!trigger_) cancelled_early_ = true;
    taken = std::move(trigger_);
  }
  if (taken) taken->complete(std::move(how), Resume::posted);
}

void Cancellable::end() {
  ended_ = true;
  std::unique_ptr<Waiter<std::monostate>> dropped;  // it owns this
  std::optional<Clock::TimerId> timer;
  {
    std::lock_guard lock(mutex_);
    over_ = true;
    dropped = std::move(trigger_);
    timer.swap(timer_);
  }
  if (timer) clock_->cancel(*timer);
}

}  // namespace semper::internal
