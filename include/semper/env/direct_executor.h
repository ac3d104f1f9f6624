// DirectExecutor: runs handlers on the thread that submits them, one at a time, in order.
//
// What for: a component's own work that must continue whatever happens to its callers' loops. It
// runs on the thread that delivers the event: that of a caller that starts it, or a device's thread
// that completes an operation. When not: work that blocks or computes for a long time, because it
// would hold up that thread.
//
//   DirectExecutor executor;
//   executor.start([core]() -> Task<void> { return core->drain(); });
//
// Copies share one queue. A handler that arrives while another runs is run after it, by the same
// thread. The executor belongs to no context that could be destroyed: a coroutine on it ends by
// itself, or stays if the event it waits for never comes. Threads: any; not while holding a lock
// that a handler takes.
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

  // Spawns the coroutine that `make` returns, here.
  void start(std::function<Task<void>()> make) const;

  // Required by Asio of an executor.
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
