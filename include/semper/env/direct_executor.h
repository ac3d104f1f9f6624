// DirectExecutor: runs handlers on the thread that hands them over, one at a time, in their order.
//
// What for: a component's own work that must go on whatever becomes of its callers' loops: it is
// carried by whoever brings the news, a caller that starts it or a device's thread that completes an
// operation. When not: work that blocks or computes for long, which that thread would be kept by.
//
//   DirectExecutor executor;
//   executor.start([core]() -> Task<void> { return core->drain(); });
//
// Copies are the same queue. A handler that comes while one runs is run after it, by the thread that is
// at it. The executor belongs to no context that could be destroyed: a coroutine on it ends by itself,
// or stays where what it waits for never comes. Threads: any; not while holding a lock that a handler
// takes.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "semper/env/asio.h"

namespace semper {

class DirectExecutor {
 public:
  DirectExecutor() : queue_(std::make_shared<Queue>()) {}

  // Spawns what `make` returns, here.
  void start(std::function<Task<void>()> make) const;

  // What Asio asks of an executor.
  template <class Function>
  void execute(Function function) const {
    auto held = std::make_shared<Function>(std::move(function));
    run([held] { std::move (*held)(); });
  }
  asio::execution_context& query(asio::execution::context_t) const noexcept;
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }
  DirectExecutor require(asio::execution::blocking_t::never_t) const { return *this; }
  friend bool operator==(const DirectExecutor& one, const DirectExecutor& other) noexcept {
    return one.queue_ == other.queue_;
  }
  friend bool operator!=(const DirectExecutor& one, const DirectExecutor& other) noexcept {
    return one.queue_ != other.queue_;
  }

 private:
  struct Queue {
    std::mutex mutex;
    std::deque<std::function<void()>> waiting;
    bool runs = false;
  };
  void run(std::function<void()> handler) const;

  std::shared_ptr<Queue> queue_;
};

// Whether handlers for that executor run on the calling thread, before post() returns.
bool is_direct(const Executor& executor) noexcept;

}  // namespace semper
