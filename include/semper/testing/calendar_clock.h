// CalendarClock: the clock of one machine in a simulation: shared monotonic time, but its own wall
// clock.
//
// What for: processes of one simulated world whose wall clocks differ and jump. When not: a single
// process; SimulatedClock::jump_wall_time affects all.
//
//   SimulatedClock time;
//   CalendarClock here(time), there(time, 3h);     // there it is three hours later
//   there.jump(-24h);                              // an administrator corrects it
//
// Timers and monotonic time are those of the clock underneath, which must outlive this one.
// Threads: as the clock underneath.
#pragma once

#include <atomic>
#include <functional>
#include <utility>

#include "semper/env/clock.h"

namespace semper::testing {

class CalendarClock final : public Clock {
 public:
  explicit CalendarClock(Clock& clock, Duration ahead = {}) : clock_(clock), ahead_(ahead) {}

  MonotonicTime now() const noexcept override { return clock_.now(); }
  WallTime wall_time() const noexcept override { return clock_.wall_time() + ahead_.load(); }
  TimerId call_at(MonotonicTime when, std::function<void()> callback) override {
    return clock_.call_at(when, std::move(callback));
  }
  bool cancel(TimerId timer) noexcept override { return clock_.cancel(timer); }

  // The wall clock jumps forward or back at once.
  void jump(Duration by) { ahead_.store(ahead_.load() + by); }

 private:
  Clock& clock_;
  std::atomic<Duration> ahead_;
};

}  // namespace semper::testing
