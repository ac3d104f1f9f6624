// SimulatedClock: time that moves only when a test says so.
//
// What for: tests and simulations of anything that takes a Clock; no test ever sleeps. When not:
// measuring how long something really takes.
//
//   SimulatedClock clock;
//   clock.call_at(clock.now() + 5s, [] { ... });
//   clock.advance(10s);                  // the callback runs here, while now() says 5 s
//
//   auto slept = simulated_run(clock, sleep_for(clock, 1h));   // simulated_run.h: returns at once
//
// Timers run in the order of their times, and timers of the same time in the order of creation, on
// the thread that moves the clock. A callback may add and cancel timers. A timer that is already
// due runs at the next move, even one by zero, but never inside call_at. Threads: any; one thread
// moves the clock at a time. Source of the idea: FoundationDB's simulator.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "semper/env/clock.h"

namespace semper::testing {

class SimulatedClock final : public Clock {
 public:
  // Where every simulated clock begins: monotonic time one hour after its zero, wall-clock time
  // 2030-01-01 00:00 UTC.
  static constexpr MonotonicTime kStart{std::chrono::hours(1)};
  static constexpr WallTime kWallStart{std::chrono::seconds(1'893'456'000)};

  MonotonicTime now() const noexcept override;
  WallTime wall_time() const noexcept override;
  TimerId call_at(MonotonicTime when, std::function<void()> callback) override;
  bool cancel(TimerId timer) noexcept override;

  // Moves time forward by `span` (not negative: asserted) and runs every timer on the way,
  // including those that callbacks add.
  void advance(Duration span);

  // Moves time to the first timer and runs only that one. False: there is none, or it is later than
  // `latest`; then nothing happens. A timer for kNever is never reached.
  bool advance_to_next_timer(MonotonicTime latest = kNever);

  // Makes the wall clock jump, as an administrator would; monotonic time is not affected.
  void jump_wall_time(Duration by);

  std::optional<MonotonicTime> next_timer() const;
  std::size_t pending_timers() const;

 private:
  using Key = std::pair<MonotonicTime, TimerId>;

  mutable std::mutex mutex_;
  MonotonicTime now_ = kStart;
  WallTime wall_ = kWallStart;
  TimerId last_timer_ = 0;
  std::map<Key, std::function<void()>> timers_;
  std::unordered_map<TimerId, MonotonicTime> times_;
};

}  // namespace semper::testing
