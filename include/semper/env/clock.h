// Clock: time and timers, injected wherever they are needed.
//
// What for: everything in Semper that reads time or waits takes a Clock, so that a test or a
// simulation can control time (testing/simulated_clock.h). When not: measuring a benchmark.
//
//   MonotonicTime deadline = clock.now() + 5s;
//   SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, 10ms));
//
// Threads: every member may be called from any thread. A timer's callback runs on a thread that the
// clock chooses, and must be short: it passes work on and returns. Source of the idea: Abseil's
// clock_interface.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "semper/base/time.h"
#include "semper/env/asio.h"

namespace semper {

class Clock {
 public:
  using TimerId = std::uint64_t;

  virtual ~Clock() = default;

  // Never goes back; unrelated to the wall clock and to other machines.
  virtual MonotonicTime now() const noexcept = 0;

  // Wall-clock time; may jump. For people to read, never for deadlines.
  virtual WallTime wall_time() const noexcept = 0;

  // Runs `callback` once, as soon as possible after `when`. `callback` must not throw or block.
  virtual TimerId call_at(MonotonicTime when, std::function<void()> callback) = 0;

  // True: the callback will never run. False: it has run, is running, or was already cancelled.
  virtual bool cancel(TimerId timer) noexcept = 0;

  // now() + span, without overflow: kForever gives kNever.
  MonotonicTime after(Duration span) const noexcept {
    const MonotonicTime start = now();
    return span >= kNever - start ? kNever : start + span;
  }
};

// The machine's clocks and one timer thread for the whole process, started at the first timer.
Clock& system_clock();

// Waits. The error is `cancelled` if the coroutine is cancelled before the time has come.
Async<void> sleep_until(Clock& clock, MonotonicTime when);
Async<void> sleep_for(Clock& clock, Duration span);

}  // namespace semper
