// OneShot<T>: a value that arrives once, and one coroutine that waits for it.
//
// What for: handing the outcome of work on another thread (a commit, a reply, a wake-up) to the
// coroutine that asked. When not: several values (use a queue), several waiters (use one each).
//
//   OneShot<int> answer;
//   worker.start([answer]() mutable { answer.set(42); });   // any thread; copies share one state
//   Result<int> n = co_await answer.wait_until(clock, deadline);
//
// Threads: set() from any thread; the first one wins. The waiter is resumed on its own executor; if
// that executor's io_context is destroyed first, the waiting coroutine is destroyed with it. Errors
// of the waits: timeout (the value may still be set later, and can be waited for again), cancelled
// (the waiting coroutine was cancelled). wait_regardless() has neither.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/env/internal/waiter.h"

namespace semper {

template <class T>
class OneShot {
 public:
  OneShot() : state_(std::make_shared<State>()) {}

  // Gives the value to the waiter, now or when it starts waiting. False if there was already a
  // value.
  bool set(T value) { return resolve(Result<T>(std::move(value)), internal::Resume::posted); }

  // As set(), but if this thread runs the waiter's executor, the waiter is resumed before
  // set_inline returns.
  bool set_inline(T value) {
    return resolve(Result<T>(std::move(value)), internal::Resume::inline_if_possible);
  }

  // As set() for each, but neighbours that wait on one executor are resumed by one handler there,
  // in this order (kWakeTogether at a time): for a thread that answers many waiters at once.
  static void set_all(std::vector<std::pair<OneShot, T>> values) {
    std::shared_ptr<Wakes> together;
    for (auto& [shot, value] : values) {
      auto waiter = shot.take_waiter(value);
      if (!waiter) continue;
      if (together && (together->size() >= kWakeTogether ||
                       !together->front().first->is_resumed_with(*waiter))) {
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

  // As wait(), but continues when the waiting coroutine is cancelled: for outcomes that must be
  // awaited, such as that of an operation which uses the waiter's memory.
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

    // The value that has already arrived. Call it with the lock held.
    Result<T> take() {
      if (!value) return fail(ErrorKind::timeout, "the deadline passed");
      Result<T> ready(std::move(*value));
      value.reset();
      return ready;
    }

    // Looks and notes in one step: the wait may be registered by another thread at this moment, and
    // nobody else will end it.
    void expire(std::uint64_t number) {
      std::unique_ptr<internal::Waiter<T>> taken;
      {
        std::lock_guard lock(mutex);
        if (waiting < number) expired_early = number;
        if (waiting == number) taken = std::move(waiter);
      }
      end(std::move(taken), ErrorKind::timeout, "the deadline passed");
    }

    void cancel(std::uint64_t number) {
      std::unique_ptr<internal::Waiter<T>> taken;
      {
        std::lock_guard lock(mutex);
        if (waiting == number) taken = std::move(waiter);
      }
      end(std::move(taken), ErrorKind::cancelled, "the wait was cancelled");
    }

    static void end(std::unique_ptr<internal::Waiter<T>> taken, ErrorKind kind, const char* why) {
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

  // The waiter that gets the value; null if nobody waits yet: a later waiter will find the value.
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
              if (auto alive = weak.lock()) alive->cancel(number);
            });
          }
          shared->waiter = std::move(waiter);
        },
        asio::use_awaitable, std::move(state), deadline, cancellation);
  }

  std::shared_ptr<State> state_;
};

}  // namespace semper
