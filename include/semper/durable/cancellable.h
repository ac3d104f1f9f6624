// Cancellable: a coroutine that runs beside its owner and can be told to end, from any thread.
//
// What for: the attempts of durable.h and the drivers of stream.h. When not: outside this room; it
// is here because templates need it.
//
//   auto attempt = std::make_shared<Cancellable>();
//   Cancellable::start(attempt, asio::make_strand(executor), work(), {&clock, deadline, late});
//   attempt->cancel();                         // before start() too: then it begins cancelled
//
// Asio's cancellation signals are not thread-safe. Here the signal is only ever emitted by a second
// coroutine on the same serial executor, which waits for cancel() or the deadline, so that nobody
// else posts to an executor that may be gone.
#pragma once

#include <functional>
#include <memory>
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

  void cancel() { stop_.set({}); }

 private:
  static Task<void> watch(std::shared_ptr<Cancellable> self, CancellableDeadline deadline);

  asio::cancellation_signal signal_;
  OneShot<std::monostate> stop_;
  bool ended_ = false;  // on the executor only
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
