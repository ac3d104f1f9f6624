// Coroutines that wait for a OneShot, and who knows of them when their loop is destroyed.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/env/direct_executor.h"

namespace semper::internal {

class WaiterRegistry;

// A place in the registry of the execution context that a waiter will be resumed on.
class WaiterHook {
 public:
  WaiterHook(const WaiterHook&) = delete;
  WaiterHook& operator=(const WaiterHook&) = delete;

 protected:
  WaiterHook() = default;
  virtual ~WaiterHook() = default;

 private:
  friend class WaiterRegistry;
  // Called with the registry locked: the context goes away, so what would be resumed on it is given
  // up. Returns it, to be destroyed without the lock.
  virtual std::shared_ptr<void> surrender() = 0;

  WaiterHook* previous_ = nullptr;
  WaiterHook* next_ = nullptr;
  bool linked_ = false;
};

// The waiters of one execution context (an io_context). When the context is destroyed, so are the
// coroutines that still wait on it, and a value that comes later is dropped: nothing is ever posted
// to a context that is gone.
class WaiterRegistry {
 public:
  static std::shared_ptr<WaiterRegistry> of(asio::execution_context& context);

  // Everything below with the lock held.
  std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }
  void link(WaiterHook& hook);
  void unlink(WaiterHook& hook);

  // The context is being destroyed.
  void shut_down();
  bool is_shut_down() const noexcept { return shut_down_.load(std::memory_order_acquire); }

 private:
  std::mutex mutex_;
  WaiterHook* first_ = nullptr;
  std::atomic<bool> shut_down_ = false;  // written with the lock
};

// True where this thread is running handlers of that executor's loop, so that a handler may be
// called here and now.
bool runs_here(const Executor& executor) noexcept;

// The waiting coroutine, with its type forgotten. Resumes it on its own executor: inline where the
// calling thread already runs that executor and `Resume::inline_if_possible` is asked for.
enum class Resume : std::uint8_t { posted, inline_if_possible };

template <class T>
class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void complete(Result<T> result, Resume how) = 0;

  // The registry of the execution context that it will be resumed on.
  virtual const WaiterRegistry* registry() const = 0;
  // With that registry locked. Null: the context is gone, or this waiter has an executor of another
  // type.
  virtual const Executor* executor() const = 0;
  // Resuming both in one handler makes neither wait for another's: one executor, and not just one
  // loop, of which another strand may be busy for long.
  virtual bool is_resumed_with(const Waiter& other) const = 0;
  // Runs `work` on its executor, or destroys it where the context is gone.
  virtual void run_there(std::function<void()> work) = 0;
};

// The timer of a wait that has a deadline; it is cancelled with the wait.
class WaitTimer {
 public:
  WaitTimer() = default;
  WaitTimer(Clock& clock, Clock::TimerId timer) : clock_(&clock), timer_(timer) {}
  WaitTimer(WaitTimer&& other) noexcept
      : clock_(std::exchange(other.clock_, nullptr)), timer_(other.timer_) {}
  WaitTimer& operator=(WaitTimer&& other) noexcept {
    std::swap(clock_, other.clock_);
    std::swap(timer_, other.timer_);
    return *this;
  }
  ~WaitTimer() { cancel(); }

  void cancel() noexcept {
    if (clock_ != nullptr) std::exchange(clock_, nullptr)->cancel(timer_);
  }

 private:
  Clock* clock_ = nullptr;
  Clock::TimerId timer_ = 0;
};

template <class T, class Handler>
class WaiterOf final : public Waiter<T>, private WaiterHook {
 public:
  WaiterOf(Handler handler, WaitTimer timer)
      : resumption_(std::in_place, std::move(handler), std::move(timer)),
        registry_(WaiterRegistry::of(asio::query(
            resumption_->executor, asio::execution::context_as<asio::execution_context&>))) {
    auto locked = registry_->lock();
    registry_->link(*this);
  }

  ~WaiterOf() override {
    if (completed_) return;  // by this thread
    auto locked = registry_->lock();
    registry_->unlink(*this);
  }

  void complete(Result<T> result, Resume how) override {
    WaitTimer over;  // goes after the lock
    auto locked = registry_->lock();
    registry_->unlink(*this);
    completed_ = true;
    if (!resumption_) return;
    over = std::move(resumption_->timer);
    auto executor = std::move(resumption_->executor);
    auto run = [handler = std::move(resumption_->handler), result = std::move(result)]() mutable {
      std::move(handler)(std::move(result));
    };
    resumption_.reset();
    if (how == Resume::inline_if_possible && is_run_by_this_thread(executor)) {
      locked.unlock();
      over.cancel();
      return run_contained(executor, run);
    }
    // With the lock: without it, the context could be destroyed in between.
    if (needs_no_lock(executor)) locked.unlock();
    asio::post(executor, std::move(run));
  }

  const WaiterRegistry* registry() const override { return registry_.get(); }

  const Executor* executor() const override {
    if constexpr (std::is_same_v<decltype(Resumption::executor), Executor>) {
      if (resumption_) return &resumption_->executor;
    }
    return nullptr;
  }

  bool is_resumed_with(const Waiter<T>& other) const override {
    if (registry_.get() != other.registry()) return false;
    auto locked = registry_->lock();
    const Executor* mine = executor();
    const Executor* theirs = other.executor();
    return mine != nullptr && theirs != nullptr && *mine == *theirs;
  }

  void run_there(std::function<void()> work) override {
    auto locked = registry_->lock();
    if (!resumption_) return;
    auto executor = resumption_->executor;
    if (needs_no_lock(executor)) locked.unlock();
    asio::post(executor, std::move(work));
  }

 private:
  struct Resumption {
    Resumption(Handler given, WaitTimer until)
        : timer(std::move(until)),
          handler(std::move(given)),
          executor(asio::prefer(asio::get_associated_executor(handler),
                                asio::execution::outstanding_work.tracked)) {}
    WaitTimer timer;
    Handler handler;
    decltype(asio::prefer(asio::get_associated_executor(std::declval<Handler&>()),
                          asio::execution::outstanding_work.tracked)) executor;
  };

  // What the resumed code throws leaves its loop, as it does after a post: whoever sets a value is
  // not to blame for it, and others still wait for theirs.
  template <class E, class Run>
  static void run_contained(const E& executor, Run& run) {
    try {
      run();
    } catch (...) {
      asio::post(executor, [thrown = std::current_exception()] { std::rethrow_exception(thrown); });
    }
  }

  // Then its context does not go away meanwhile.
  template <class Any>
  static bool is_run_by_this_thread([[maybe_unused]] const Any& executor) {
    if constexpr (std::is_same_v<Any, Executor>) return runs_here(executor);
    return false;
  }

  // Of a DirectExecutor, which runs it here and now; its context does not go away.
  template <class Any>
  static bool needs_no_lock([[maybe_unused]] const Any& executor) {
    if constexpr (std::is_same_v<Any, Executor>) return is_direct(executor);
    return false;
  }

  std::shared_ptr<void> surrender() override {
    if (!resumption_) return nullptr;
    auto given_up = std::make_shared<Resumption>(std::move(*resumption_));
    resumption_.reset();
    return given_up;
  }

  std::optional<Resumption> resumption_;
  std::shared_ptr<WaiterRegistry> registry_;
  bool completed_ = false;
};

}  // namespace semper::internal
