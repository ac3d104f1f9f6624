// Cancellable: a coroutine that runs beside its owner and can be told to end, from any thread.
//
// What for: the attempts of durable.h and the drivers of stream.h. When not: outside this room; it
// is here because templates need it.
//
//   auto attempt = std::make_shared<Cancellable>();
//   Cancellable::start(attempt, asio::make_strand(executor), work(), {&clock, deadline, late});
//   attempt->cancel();                         // before start() too: then it begins cancelled
//
// Asio's cancellation signals are not thread-safe, and an executor may be gone when somebody cancels.
// So cancel() completes a waiter (one_shot.h) whose handler emits the signal on the coroutine's own
// serial executor; a waiter's handler is dropped with its execution context.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>

#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/env/one_shot.h"

namespace semper::internal {

struct CancellableDeadline {
  Clock* clock = nullptr;
  MonotonicTime when = kNever;
  // Called on the executor when the deadline has passed, before the coroutine is cancelled.
  std::function<void()> on_passed = nullptr;
};

class Cancellable {
 public:
  // `serial` runs one handler at a time (a strand). `work` must not throw. It is cancelled with
  // Asio's terminal type: what it waits for ends with an error, or it is left waiting if that does
  // not listen. If the executor's context is destroyed, it is destroyed with it. Where the calling
  // thread runs the executor already, `work` runs up to its first wait before this returns: hold no
  // lock.
  static void start(const std::shared_ptr<Cancellable>& self, const Executor& serial,
                    Task<void> work, CancellableDeadline deadline = {});

  void cancel() { fire(std::monostate()); }

 private:
  using Fired = Result<std::monostate>;  // the error: the deadline has passed

  void fire(Fired how);
  void end();

  asio::cancellation_signal signal_;
  bool ended_ = false;  // on the executor only

  std::mutex mutex_;
  std::unique_ptr<Waiter<std::monostate>> trigger_;
  bool cancelled_early_ = false;  // before there was a trigger
  bool over_ = false;
  Clock* clock_ = nullptr;
  std::optional<Clock::TimerId> timer_;
};

// Cancels what it holds when it goes.
class CancelOnExit {
 public:
  explicit CancelOnExit(std::shared_ptr<Cancellable> task) : task_(std::move(task)) {}
  CancelOnExit(const CancelOnExit&) = delete;
  CancelOnExit& operator=(const CancelOnExit&) = delete;
  ~CancelOnExit() { task_->cancel(); }

 private:
  std::shared_ptr<Cancellable> task_;
};

}  // namespace semper::internal
