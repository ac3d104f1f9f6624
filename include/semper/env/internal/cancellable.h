// Cancellable: a coroutine that runs beside its owner and can be told to end, from any thread.
//
// What for: the attempts of durable.h, the drivers of stream.h, callbacks that wait. When not:
// outside this library; it is here because templates need it.
//
//   auto attempt = std::make_shared<Cancellable>();
//   Cancellable::start(attempt, serial_executor(executor), work(), {&clock, deadline, late});
//   Cancellable::cancel(attempt);              // before start() too: then it begins cancelled
//   const bool late = co_await run_until(clock, deadline, std::move(work));   // inside its owner
//
// Asio's cancellation signals are not thread-safe, and an executor may be gone when somebody
// cancels. So cancel() posts to the coroutine's own serial executor, and the signal is emitted
// there; the registry of waiters (one_shot.h) takes the executor away when its context is
// destroyed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/env/internal/tagged_executor.h"
#include "semper/env/one_shot.h"

namespace semper::internal {

struct CancellableDeadline {
  Clock* clock = nullptr;
  MonotonicTime when = kNever;
  // Called on the clock's thread when the deadline has passed, so also where the executor's threads
  // are blocked. Short, and calls nothing of the user's.
  std::function<void()> on_passed = nullptr;
};

class Cancellable final : private WaiterHook {
 public:
  Cancellable() = default;
  ~Cancellable() override;

  // `serial` runs one handler at a time (a strand). `work` must not throw. It is cancelled with
  // Asio's terminal type: what it waits for ends with an error, or it is left waiting if that does
  // not listen. If the executor's context is destroyed, it is destroyed with it. Where the calling
  // thread runs the executor already, `work` runs up to its first wait before this returns: hold no
  // lock. Once for each Cancellable.
  static void start(const std::shared_ptr<Cancellable>& self, const Executor& serial,
                    Task<void> work, CancellableDeadline deadline = {});

  // The same, but the calling coroutine waits until `work` has ended, whatever becomes of itself:
  // it is cancelled with its caller, and destroyed before it. So it may use what the caller holds.
  static Task<void> run(std::shared_ptr<Cancellable> self, Executor serial, Task<void> work,
                        CancellableDeadline deadline);

  // It was started, has not ended, and its loop was stopped (loop_state.h).
  static bool is_stopped(const std::shared_ptr<Cancellable>& self);

  // The first one counts.
  static void cancel(const std::shared_ptr<Cancellable>& self) { fire(self, Why::asked); }

 private:
  enum class Why : std::uint8_t { asked, deadline };

  struct Ending;

  static Task<void> run_registered(std::shared_ptr<Cancellable> self, Executor serial,
                                   Task<void> work);
  static void arm(const std::shared_ptr<Cancellable>& self, CancellableDeadline deadline);
  static void register_with(const std::shared_ptr<Cancellable>& self, const Executor& serial);
  static void fire(const std::shared_ptr<Cancellable>& self, Why why);
  // With the lock. Returned: a direct executor, for emit_on() without the lock; else it is posted.
  static std::optional<Executor> post_signal(const std::shared_ptr<Cancellable>& self);
  static void emit_on(const Executor& executor, const std::shared_ptr<Cancellable>& self);
  void end();
  void leave_registry();
  std::shared_ptr<void> surrender() override;

  asio::cancellation_signal signal_;
  bool ended_ = false;  // on the executor only

  std::mutex mutex_;  // taken before the registry's lock
  bool fired_ = false;
  bool over_ = false;
  std::function<void()> on_passed_;  // may own this: dropped at the end, however that comes
  Clock* clock_ = nullptr;
  std::optional<Clock::TimerId> timer_;
  std::shared_ptr<WaiterRegistry> registry_;  // null: not started
  std::optional<Executor> serial_;            // with the registry's lock; none: its context is gone
};

// Runs `work`, which must not throw, to its end: where the deadline passes first, or the calling
// coroutine is cancelled, it is cancelled, and still waited for. True: the deadline passed before
// it ended. `work` runs on a strand over the caller's executor, with this tag, if there is one
// (tagged_executor.h); it may use what the caller holds.
Task<bool> run_until(Clock& clock, MonotonicTime deadline, Task<void> work,
                     TagPointer tag = nullptr);

// Cancels what it holds when it goes.
class CancelOnExit {
 public:
  explicit CancelOnExit(std::shared_ptr<Cancellable> task) : task_(std::move(task)) {}
  CancelOnExit(const CancelOnExit&) = delete;
  CancelOnExit& operator=(const CancelOnExit&) = delete;
  ~CancelOnExit() { Cancellable::cancel(task_); }

 private:
  std::shared_ptr<Cancellable> task_;
};

}  // namespace semper::internal
