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

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/env/internal/one_shot_state.h"

namespace semper {

template <class T>
class OneShot {
 public:
  static constexpr std::size_t kWakeTogether = 64;

  OneShot() : state_(std::make_shared<State>()) {}

  // Gives the value to the waiter, now or when it starts waiting. False if there was already a
  // value.
  bool set(T value) {
    return state_->resolve(Result<T>(std::move(value)), internal::Resume::posted);
  }

  // As set(), but if this thread runs the waiter's executor, the waiter is resumed before
  // set_inline returns.
  bool set_inline(T value) {
    return state_->resolve(Result<T>(std::move(value)), internal::Resume::inline_if_possible);
  }

  // As set() for each, but neighbours that wait on one executor are resumed by one handler there,
  // in this order (kWakeTogether at a time): for a thread that answers many waiters at once.
  static void set_all(std::vector<std::pair<OneShot, T>> values) {
    std::shared_ptr<typename State::Wakes> together;
    for (auto& [shot, value] : values) {
      auto waiter = shot.state_->take_waiter(value);
      if (!waiter) continue;
      if (together && (together->size() >= kWakeTogether ||
                       !together->front().first->is_resumed_with(*waiter))) {
        State::wake(std::exchange(together, nullptr));
      }
      if (!together) together = std::make_shared<typename State::Wakes>();
      together->emplace_back(std::move(waiter), std::move(value));
    }
    if (together) State::wake(std::move(together));
  }

  bool is_set() const {
    std::lock_guard lock(state_->mutex);
    return state_->resolved;
  }

  // At most one wait at a time. May be called again after a timeout.
  Async<T> wait() { return State::start(state_, {}, Cancellation::ends_it); }
  Async<T> wait_until(Clock& clock, MonotonicTime deadline) {
    if (deadline <= clock.now()) return State::look(state_);
    return State::start(state_, {&clock, deadline}, Cancellation::ends_it);
  }

  // As wait(), but continues when the waiting coroutine is cancelled: for outcomes that must be
  // awaited, such as that of an operation which uses the waiter's memory.
  Async<T> wait_regardless() { return State::start(state_, {}, Cancellation::is_ignored); }
  Async<T> wait_regardless_until(Clock& clock, MonotonicTime deadline) {
    if (deadline <= clock.now()) return State::look(state_);
    return State::start(state_, {&clock, deadline}, Cancellation::is_ignored);
  }

 private:
  using State = internal::OneShotState<T>;
  using Cancellation = internal::WaitCancellation;

  std::shared_ptr<State> state_;
};

}  // namespace semper
