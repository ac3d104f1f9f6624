// The state that the copies of a OneShot share: its value, or the coroutine that waits for it.
//
// What for: env/one_shot.h. When not: never used directly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "semper/base/result.h"
#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/env/internal/waiter.h"

namespace semper::internal {

enum class WaitCancellation : std::uint8_t { ends_it, is_ignored };

struct WaitDeadline {
  Clock* clock = nullptr;
  MonotonicTime when = kNever;
};

template <class T>
struct OneShotState {
  std::mutex mutex;
  bool resolved = false;
  std::optional<T> value;
  std::unique_ptr<Waiter<T>> waiter;
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
    std::unique_ptr<Waiter<T>> taken;
    {
      std::lock_guard lock(mutex);
      if (waiting < number) expired_early = number;
      if (waiting == number) taken = std::move(waiter);
    }
    end(std::move(taken), ErrorKind::timeout, "the deadline passed");
  }

  void cancel(std::uint64_t number) {
    std::unique_ptr<Waiter<T>> taken;
    {
      std::lock_guard lock(mutex);
      if (waiting == number) taken = std::move(waiter);
    }
    end(std::move(taken), ErrorKind::cancelled, "the wait was cancelled");
  }

  static void end(std::unique_ptr<Waiter<T>> taken, ErrorKind kind, const char* why) {
    if (taken) taken->complete(fail(kind, why), Resume::posted);
  }

  // The waiter that gets the value; null if nobody waits yet: a later waiter will find the value.
  std::unique_ptr<Waiter<T>> take_waiter(T& given) {
    std::lock_guard lock(mutex);
    if (resolved) return nullptr;
    resolved = true;
    if (!waiter) value.emplace(std::move(given));
    return std::move(waiter);
  }

  bool resolve(Result<T> result, Resume how) {
    std::unique_ptr<Waiter<T>> taken;
    {
      std::lock_guard lock(mutex);
      if (resolved) return false;
      resolved = true;
      if (!waiter) {
        value.emplace(std::move(*result));
        return true;
      }
      taken = std::move(waiter);
    }
    taken->complete(std::move(result), how);
    return true;
  }

  static Async<T> look(std::shared_ptr<OneShotState> state) {
    std::lock_guard lock(state->mutex);
    co_return state->take();
  }

  static WaitTimer start_timer(const std::shared_ptr<OneShotState>& state,
                               const WaitDeadline& deadline, std::uint64_t number) {
    if (deadline.when == kNever) return {};
    return {
        *deadline.clock,
        deadline.clock->call_at(deadline.when, [number, weak = std::weak_ptr<OneShotState>(state)] {
          if (auto alive = weak.lock()) alive->expire(number);
        })};
  }

  static auto start(std::shared_ptr<OneShotState> state, WaitDeadline deadline,
                    WaitCancellation cancellation) {
    return asio::async_initiate<const asio::use_awaitable_t<>, void(Result<T>)>(
        [](auto handler, std::shared_ptr<OneShotState> shared, WaitDeadline until,
           WaitCancellation heeded) {
          using Handler = decltype(handler);
          const bool is_timed = until.when != kNever;
          auto number = is_timed ? shared->next_wait() : 0;
          auto slot = asio::get_associated_cancellation_slot(handler);
          std::unique_ptr<Waiter<T>> mine = std::make_unique<WaiterOf<T, Handler>>(
              std::move(handler), start_timer(shared, until, number));
          std::unique_lock lock(shared->mutex);
          if (!is_timed) number = ++shared->last_wait;
          shared->waiting = number;
          if (shared->value || shared->expired_early == number) {
            auto result = shared->take();
            lock.unlock();
            mine->complete(std::move(result), Resume::posted);
            return;
          }
          if (slot.is_connected() && heeded == WaitCancellation::ends_it) {
            slot.assign(
                [number, weak = std::weak_ptr<OneShotState>(shared)](asio::cancellation_type) {
                  if (auto alive = weak.lock()) alive->cancel(number);
                });
          }
          shared->waiter = std::move(mine);
        },
        asio::use_awaitable, std::move(state), deadline, cancellation);
  }

  // Waiters of one executor that are resumed by one handler there.
  using Wakes = std::vector<std::pair<std::unique_ptr<Waiter<T>>, T>>;

  static void wake(std::shared_ptr<Wakes> together) {
    auto& first = *together->front().first;
    first.run_there([together] {
      for (auto& [one, given] : *together) {
        one->complete(Result<T>(std::move(given)), Resume::inline_if_possible);
      }
    });
  }
};

}  // namespace semper::internal
