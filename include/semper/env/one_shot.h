// OneShot<T>: a value that arrives once, and one coroutine that waits for it.
//
// What for: handing the outcome of work on another thread (a commit, a reply, a wake-up) to the
// coroutine that asked. When not: several values (use a queue), several waiters (use one each).
//
//   OneShot<int> answer;
//   worker.start([answer]() mutable { answer.set(42); });   // any thread; copies share one state
//   Result<int> n = co_await answer.wait_until(clock, deadline);
//
// Threads: set() from any thread, the first one wins. The waiter is resumed on its own executor; if
// that one's io_context is destroyed first, the waiting coroutine is destroyed with it.
// Errors of the waits: timeout (the value may still be set later, and can be waited for again),
// cancelled (the waiting coroutine was cancelled). wait_regardless() has neither.
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
#include <vector>

#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/env/direct_executor.h"

namespace semper {

namespace internal {

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

// True where this thread is running handlers of that executor's loop, so that a handler may be called
// here and now.
bool runs_here(const Executor& executor) noexcept;

// The waiting coroutine, with its type forgotten. Resumes it on its own executor: inline where the
// calling thread already runs that executor and `Resume::inline_if_possible` is asked for.
enum class Resume : std::uint8_t { posted, inline_if_possible };

template <class T>
class Waiter {
 public:
  virtual ~Waiter() = default;
  virtual void complete(Result<T> result, Resume how) = 0;

  // The execution context that it will be resumed on.
  virtual const void* context() const = 0;
  // Runs `work` there, or destroys it where the context is gone.
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
    if (how == Resume::inline_if_possible) {
      locked.unlock();
      over.cancel();
      if constexpr (std::is_same_v<decltype(executor), Executor>) {
        if (runs_here(executor)) return run_contained(executor, run);
      }
      asio::dispatch(executor,
                     [executor, run = std::move(run)]() mutable { run_contained(executor, run); });
    } else {
      if (needs_no_lock(executor)) locked.unlock();
      asio::post(executor, std::move(run));
    }
  }

  const void* context() const override { return registry_.get(); }

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

  // What the resumed code throws leaves its loop, as it does after a post: whoever sets a value is not
  // to blame for it, and others still wait for theirs.
  template <class E, class Run>
  static void run_contained(const E& executor, Run& run) {
    try {
      run();
    } catch (...) {
      asio::post(executor, [thrown = std::current_exception()] { std::rethrow_exception(thrown); });
    }
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

}  // namespace internal

template <class T>
class OneShot {
 public:
  OneShot() : state_(std::make_shared<State>()) {}

  // Gives the value to the waiter, now or when it comes. False where there was one already.
  bool set(T value) { return resolve(Result<T>(std::move(value)), internal::Resume::posted); }

  // As set(), but a waiter whose executor this thread runs is resumed before set_inline returns.
  bool set_inline(T value) {
    return resolve(Result<T>(std::move(value)), internal::Resume::inline_if_possible);
  }

  // As set() for each, but the waiters of one execution context are resumed by one piece of work there, in
  // this order (kWakeTogether at a time): for a thread that answers many at once.
  static void set_all(std::vector<std::pair<OneShot, T>> values) {
    std::shared_ptr<Wakes> together;
    for (auto& [shot, value] : values) {
      auto waiter = shot.take_waiter(value);
      if (!waiter) continue;
      if (together && (together->front().first->context() != waiter->context() ||
                       together->size() >= kWakeTogether)) {
        wake(std::exchange(together, nullptr));
      }
      if (!together) together = std::make_shared<Wakes>();
      together->emplace_back(std::move(waiter), std::move(value));
    }
    if (together) wake(std::move(together));
  }

  bool is_set() const {
    std::lock_guard lock(state_->mutex);
    return state_->resolved;
  }

  // At most one wait at a time. May be called again after a timeout.
  Async<T> wait() { return start(state_, {}, Cancellation::ends_it); }
  Async<T> wait_until(Clock& clock, MonotonicTime deadline) {
    if (deadline <= clock.now()) return look(state_);
    return start(state_, {&clock, deadline}, Cancellation::ends_it);
  }

  // As wait(), but goes on when the waiting coroutine is cancelled: for an end that must be seen, such
  // as that of an operation which uses memory of the waiter's.
  Async<T> wait_regardless() { return start(state_, {}, Cancellation::is_ignored); }
  Async<T> wait_regardless_until(Clock& clock, MonotonicTime deadline) {
    if (deadline <= clock.now()) return look(state_);
    return start(state_, {&clock, deadline}, Cancellation::is_ignored);
  }

 private:
  struct State;
  enum class Cancellation : std::uint8_t { ends_it, is_ignored };
  struct Deadline {
    Clock* clock = nullptr;
    MonotonicTime when = kNever;
  };

  struct State {
    std::mutex mutex;
    bool resolved = false;
    std::optional<T> value;
    std::unique_ptr<internal::Waiter<T>> waiter;
    // Waits are numbered, so that a timer or a cancellation that comes late ends no other wait.
    std::uint64_t last_wait = 0;
    std::uint64_t waiting = 0;        // the number of `waiter`
    std::uint64_t expired_early = 0;  // the wait whose deadline passed before it was registered

    std::uint64_t next_wait() {
      std::lock_guard lock(mutex);
      return ++last_wait;
    }

    // What is there already. With the lock held.
    Result<T> take() {
      if (!value) return fail(ErrorKind::timeout, "the deadline passed");
      Result<T> ready(std::move(*value));
      value.reset();
      return ready;
    }

    void expire(std::uint64_t number) {
      interrupt(number, ErrorKind::timeout, "the deadline passed");
      std::lock_guard lock(mutex);
      if (waiting < number) expired_early = number;
    }

    void interrupt(std::uint64_t number, ErrorKind kind, const char* why) {
      std::unique_ptr<internal::Waiter<T>> taken;
      {
        std::lock_guard lock(mutex);
        if (waiting != number) return;
        taken = std::move(waiter);
      }
      if (taken) taken->complete(fail(kind, why), internal::Resume::posted);
    }
  };

  static constexpr std::size_t kWakeTogether = 64;
  using Wakes = std::vector<std::pair<std::unique_ptr<internal::Waiter<T>>, T>>;

  static void wake(std::shared_ptr<Wakes> together) {
    auto& first = *together->front().first;
    first.run_there([together] {
      for (auto& [waiter, value] : *together) {
        waiter->complete(Result<T>(std::move(value)), internal::Resume::inline_if_possible);
      }
    });
  }

  // The waiter that is to get the value; null where nobody waits, who will find the value then.
  std::unique_ptr<internal::Waiter<T>> take_waiter(T& value) {
    std::lock_guard lock(state_->mutex);
    if (state_->resolved) return nullptr;
    state_->resolved = true;
    if (!state_->waiter) state_->value.emplace(std::move(value));
    return std::move(state_->waiter);
  }

  bool resolve(Result<T> result, internal::Resume how) {
    std::unique_ptr<internal::Waiter<T>> taken;
    {
      std::lock_guard lock(state_->mutex);
      if (state_->resolved) return false;
      state_->resolved = true;
      if (!state_->waiter) {
        state_->value.emplace(std::move(*result));
        return true;
      }
      taken = std::move(state_->waiter);
    }
    taken->complete(std::move(result), how);
    return true;
  }

  static Async<T> look(std::shared_ptr<State> state) {
    std::lock_guard lock(state->mutex);
    co_return state->take();
  }

  static internal::WaitTimer start_timer(const std::shared_ptr<State>& state,
                                         const Deadline& deadline, std::uint64_t number) {
    if (deadline.when == kNever) return {};
    return {*deadline.clock,
            deadline.clock->call_at(deadline.when, [number, weak = std::weak_ptr<State>(state)] {
              if (auto alive = weak.lock()) alive->expire(number);
            })};
  }

  static auto start(std::shared_ptr<State> state, Deadline deadline, Cancellation cancellation) {
    return asio::async_initiate<const asio::use_awaitable_t<>, void(Result<T>)>(
        [](auto handler, std::shared_ptr<State> shared, Deadline until, Cancellation heeded) {
          using Handler = decltype(handler);
          const bool is_timed = until.when != kNever;
          auto number = is_timed ? shared->next_wait() : 0;
          auto slot = asio::get_associated_cancellation_slot(handler);
          std::unique_ptr<internal::Waiter<T>> waiter =
              std::make_unique<internal::WaiterOf<T, Handler>>(std::move(handler),
                                                               start_timer(shared, until, number));
          std::unique_lock lock(shared->mutex);
          if (!is_timed) number = ++shared->last_wait;
          shared->waiting = number;
          if (shared->value || shared->expired_early == number) {
            auto result = shared->take();
            lock.unlock();
            waiter->complete(std::move(result), internal::Resume::posted);
            return;
          }
          if (slot.is_connected() && heeded == Cancellation::ends_it) {
            slot.assign([number, weak = std::weak_ptr<State>(shared)](asio::cancellation_type) {
              if (auto alive = weak.lock()) {
                alive->interrupt(number, ErrorKind::cancelled, "the wait was cancelled");
              }
            });
          }
          shared->waiter = std::move(waiter);
        },
        asio::use_awaitable, std::move(state), deadline, cancellation);
  }

  std::shared_ptr<State> state_;
};

}  // namespace semper
