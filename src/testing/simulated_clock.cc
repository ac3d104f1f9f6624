#include "semper/testing/simulated_clock.h"

#include <algorithm>

#include "semper/base/assert.h"

namespace semper::testing {

MonotonicTime SimulatedClock::now() const noexcept {
  std::lock_guard lock(mutex_);
  return now_;
}

WallTime SimulatedClock::wall_time() const noexcept {
  std::lock_guard lock(mutex_);
  return wall_;
}

Clock::TimerId SimulatedClock::call_at(MonotonicTime when, std::function<void()> callback) {
  std::lock_guard lock(mutex_);
  const TimerId timer = ++last_timer_;
  timers_.emplace(Key{when, timer}, std::move(callback));
  times_.emplace(timer, when);
  return timer;
}

bool SimulatedClock::cancel(TimerId timer) noexcept {
  std::function<void()> dropped;  // destroyed without the lock: it may own what locks again
  std::lock_guard lock(mutex_);
  const auto found = times_.find(timer);
  if (found == times_.end()) return false;
  const auto place = timers_.find(Key{found->second, timer});
  dropped = std::move(place->second);
  timers_.erase(place);
  times_.erase(found);
  return true;
}

bool SimulatedClock::advance_to_next_timer(MonotonicTime latest) {
  std::function<void()> callback;
  {
    std::lock_guard lock(mutex_);
    if (timers_.empty()) return false;
    const auto first = timers_.begin();
    const auto [when, timer] = first->first;
    if (when > latest || when == kNever) return false;
    if (when > now_) {
      wall_ += when - now_;
      now_ = when;
    }
    callback = std::move(first->second);
    times_.erase(timer);
    timers_.erase(first);
  }
  callback();
  return true;
}

void SimulatedClock::advance(Duration span) {
  SEMPER_ASSERT(span >= Duration::zero(), "time does not go back");
  const MonotonicTime target = after(span);
  while (advance_to_next_timer(target)) {
  }
  std::lock_guard lock(mutex_);
  if (target <= now_) return;
  wall_ += target - now_;
  now_ = target;
}

void SimulatedClock::jump_wall_time(Duration by) {
  std::lock_guard lock(mutex_);
  wall_ += by;
}

std::optional<MonotonicTime> SimulatedClock::next_timer() const {
  std::lock_guard lock(mutex_);
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first.first;
}

std::size_t SimulatedClock::pending_timers() const {
  std::lock_guard lock(mutex_);
  return timers_.size();
}

}  // namespace semper::testing
