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
        self->ended_ = true;
        self->stop_.set({});
      }));
  asio::co_spawn(serial, watch(self, std::move(deadline)), asio::detached);
}

Task<void> Cancellable::watch(std::shared_ptr<Cancellable> self, CancellableDeadline deadline) {
  // Without a deadline there may be no clock; the clock of a kNever is not asked.
  Clock& clock = deadline.clock != nullptr ? *deadline.clock : system_clock();
  auto stopped = co_await self->stop_.wait_until(clock, deadline.when);
  if (self->ended_) co_return;
  const bool passed = !stopped && stopped.error().kind() == ErrorKind::timeout;
  if (passed && deadline.on_passed) deadline.on_passed();
  self->signal_.emit(asio::cancellation_type::terminal);
}

}  // namespace semper::internal
