#include "semper/durable/cancellable.h"

#include <exception>
#include <utility>

#include "semper/base/assert.h"

namespace semper::internal {

Cancellable::~Cancellable() {
  leave_registry();
}

void Cancellable::start(const std::shared_ptr<Cancellable>& self, const Executor& serial,
                        Task<void> work, CancellableDeadline deadline) {
  // Ends it also where the coroutine does not come to its end, but is destroyed with its context.
  struct Ending {
    explicit Ending(std::shared_ptr<Cancellable> of) : task(std::move(of)) {}
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;
    ~Ending() { task->end(); }
    const std::shared_ptr<Cancellable> task;
  };
  auto ended = [ending = std::make_shared<Ending>(self)](std::exception_ptr thrown) {
    SEMPER_ASSERT(!thrown, "what runs beside its owner reports errors, it does not throw");
    ending->task->end();
  };
  // The deadline first: the work may block this thread.
  if (deadline.when != kNever) {
    std::lock_guard lock(self->mutex_);
    self->on_passed_ = std::move(deadline.on_passed);
    self->clock_ = deadline.clock;
    self->timer_ =
        deadline.clock->call_at(deadline.when, [weak = std::weak_ptr<Cancellable>(self)] {
          if (auto alive = weak.lock()) fire(alive, Why::deadline);
        });
  }
  asio::co_spawn(serial, std::move(work),
                 asio::bind_cancellation_slot(self->signal_.slot(), std::move(ended)));
  // Only now: co_spawn uses the signal on this thread.
  auto registry = WaiterRegistry::of(
      asio::query(serial, asio::execution::context_as<asio::execution_context&>));
  std::lock_guard lock(self->mutex_);
  SEMPER_ASSERT(!self->registry_, "it is started once");
  if (self->over_) return;
  {
    auto registered = registry->lock();
    registry->link(*self);
    self->serial_ = serial;
  }
  self->registry_ = std::move(registry);
  if (self->fired_) post_signal(self);
}

void Cancellable::fire(const std::shared_ptr<Cancellable>& self, Why why) {
  std::function<void()> passed;  // called and destroyed without the lock
  {
    std::lock_guard lock(self->mutex_);
    if (self->over_ || std::exchange(self->fired_, true)) return;
    if (why == Why::deadline) passed.swap(self->on_passed_);
    if (self->registry_) post_signal(self);
  }
  if (passed) passed();
}

void Cancellable::post_signal(const std::shared_ptr<Cancellable>& self) {
  auto registered = self->registry_->lock();
  if (!self->serial_) return;
  asio::post(*self->serial_, [self] {
    if (!self->ended_) self->signal_.emit(asio::cancellation_type::terminal);
  });
}

void Cancellable::end() {
  ended_ = true;
  std::optional<Clock::TimerId> timer;
  std::function<void()> dropped;  // it may own this
  {
    std::lock_guard lock(mutex_);
    over_ = true;
    timer.swap(timer_);
    dropped.swap(on_passed_);
  }
  leave_registry();
  if (timer) clock_->cancel(*timer);
}

void Cancellable::leave_registry() {
  if (!registry_) return;
  std::optional<Executor> dropped;  // without the lock
  auto registered = registry_->lock();
  registry_->unlink(*this);
  dropped.swap(serial_);
  registered.unlock();
}

std::shared_ptr<void> Cancellable::surrender() {
  auto given_up = std::make_shared<std::optional<Executor>>(std::move(serial_));
  serial_.reset();
  return given_up;
}

}  // namespace semper::internal
