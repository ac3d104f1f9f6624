#include "semper/env/internal/cancellable.h"

#include <atomic>
#include <exception>
#include <utility>

#include "semper/base/assert.h"
#include "semper/env/direct_executor.h"
#include "semper/env/internal/loop_state.h"
#include "semper/env/serial.h"

namespace semper::internal {

Cancellable::~Cancellable() {
  leave_registry();
}

// Ends it also where the coroutine does not come to its end, but is destroyed with its context.
struct Cancellable::Ending {
  explicit Ending(std::shared_ptr<Cancellable> of) : task(std::move(of)) {}
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;
  ~Ending() { task->end(); }
  const std::shared_ptr<Cancellable> task;
};

void Cancellable::start(const std::shared_ptr<Cancellable>& self, const Executor& serial,
                        Task<void> work, CancellableDeadline deadline) {
  auto ended = [ending = std::make_shared<Ending>(self)](std::exception_ptr thrown) {
    SEMPER_ASSERT(!thrown, "what runs beside its owner reports errors, it does not throw");
    ending->task->end();
  };
  arm(self, std::move(deadline));  // first: the work may block this thread
  asio::co_spawn(serial, std::move(work),
                 asio::bind_cancellation_slot(self->signal_.slot(), std::move(ended)));
  register_with(self, serial);  // only now: co_spawn uses the signal on this thread
}

Task<void> Cancellable::run(std::shared_ptr<Cancellable> self, Executor serial, Task<void> work,
                            CancellableDeadline deadline) {
  arm(self, std::move(deadline));
  // The caller's cancellation comes on the caller's executor, and goes on to the other one.
  const auto caller = co_await asio::this_coro::cancellation_state;
  auto slot = caller.slot();
  if (slot.is_connected()) {
    slot.assign([weak = std::weak_ptr<Cancellable>(self)](asio::cancellation_type) {
      if (auto alive = weak.lock()) cancel(alive);
    });
  }
  if (caller.cancelled() != asio::cancellation_type::none) cancel(self);
  auto inside = run_registered(self, serial, std::move(work));
  // The caller's continuation belongs to the other coroutine: that one goes first.
  co_await asio::co_spawn(serial, std::move(inside),
                          asio::bind_cancellation_slot(self->signal_.slot(), asio::use_awaitable));
  if (slot.is_connected()) slot.clear();
}

Task<void> Cancellable::run_registered(std::shared_ptr<Cancellable> self, Executor serial,
                                       Task<void> work) {
  const Ending ending(self);
  register_with(self, serial);
  co_await std::move(work);
}

void Cancellable::arm(const std::shared_ptr<Cancellable>& self, CancellableDeadline deadline) {
  if (deadline.when == kNever) return;
  std::lock_guard lock(self->mutex_);
  self->on_passed_ = std::move(deadline.on_passed);
  self->clock_ = deadline.clock;
  self->timer_ = deadline.clock->call_at(deadline.when, [weak = std::weak_ptr<Cancellable>(self)] {
    if (auto alive = weak.lock()) fire(alive, Why::deadline);
  });
}

void Cancellable::register_with(const std::shared_ptr<Cancellable>& self, const Executor& serial) {
  auto registry = WaiterRegistry::of(
      asio::query(serial, asio::execution::context_as<asio::execution_context&>));
  std::optional<Executor> direct;
  {
    std::lock_guard lock(self->mutex_);
    SEMPER_ASSERT(!self->registry_, "it is started once");
    if (self->over_) return;
    {
      auto registered = registry->lock();
      registry->link(*self);
      self->serial_ = serial;
    }
    self->registry_ = std::move(registry);
    if (self->fired_) direct = post_signal(self);
  }
  if (direct) emit_on(*direct, self);
}

// The deadline's callback first: who learns of the cancellation finds out why.
void Cancellable::fire(const std::shared_ptr<Cancellable>& self, Why why) {
  std::function<void()> passed;  // called and destroyed without the lock
  {
    std::lock_guard lock(self->mutex_);
    if (self->over_ || self->fired_) return;
    if (why == Why::deadline) passed.swap(self->on_passed_);
  }
  if (passed) passed();
  std::optional<Executor> direct;
  {
    std::lock_guard lock(self->mutex_);
    if (self->over_ || std::exchange(self->fired_, true)) return;
    if (self->registry_) direct = post_signal(self);
  }
  if (direct) emit_on(*direct, self);
}

bool Cancellable::is_stopped(const std::shared_ptr<Cancellable>& self) {
  std::lock_guard lock(self->mutex_);
  if (self->over_ || !self->registry_) return false;
  const auto registered = self->registry_->lock();
  return self->serial_ && internal::is_stopped(*self->serial_);
}

std::optional<Executor> Cancellable::post_signal(const std::shared_ptr<Cancellable>& self) {
  auto registered = self->registry_->lock();
  if (!self->serial_) return std::nullopt;
  if (is_direct(*self->serial_)) return self->serial_;  // its context does not go away
  emit_on(*self->serial_, self);
  return std::nullopt;
}

void Cancellable::emit_on(const Executor& executor, const std::shared_ptr<Cancellable>& self) {
  asio::post(executor, [self] {
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

Task<bool> run_until(Clock& clock, MonotonicTime deadline, Task<void> work, TagPointer tag) {
  Executor serial = serial_executor(co_await asio::this_coro::executor);
  if (tag) serial = with_tag(serial, std::move(tag));
  auto passed = std::make_shared<std::atomic<bool>>(false);
  CancellableDeadline until;
  until.clock = &clock;
  until.when = deadline;
  until.on_passed = [passed] { passed->store(true); };
  auto task = std::make_shared<Cancellable>();
  auto running = Cancellable::run(task, std::move(serial), std::move(work), std::move(until));
  co_await std::move(running);
  co_return passed->load();
}

}  // namespace semper::internal
