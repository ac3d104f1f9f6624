#include "semper/env/clock.h"

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>

#include "semper/base/log.h"
#include "semper/env/fork.h"

namespace semper {
namespace {

// Timers in order of their time; one thread sleeps until the first of them. Never destroyed.
class TimerQueue {
 public:
  using TimerId = Clock::TimerId;

  bool is_foreign() const noexcept { return fork_.is_foreign(); }

  void add(TimerId timer, MonotonicTime when, std::function<void()> callback) {
    bool says_late = false;
    std::unique_lock lock(mutex_);
    const auto place = timers_.emplace(Key{when, timer}, std::move(callback)).first;
    times_.emplace(timer, when);
    if (!runs_ && !start()) says_late = !std::exchange(said_, true);
    if (place == timers_.begin()) wake_.notify_one();
    lock.unlock();
    if (!says_late) return;
    log_warning("env", "no thread can be started for timers; they are late until one can");
  }

  bool cancel(TimerId timer) noexcept {
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

 private:
  using Key = std::pair<MonotonicTime, TimerId>;

  // With the lock held. An exception would leave whoever waits, or gives back a turn, half done;
  // so where the system gives no thread, timers are late until it does: each one tries again.
  bool start() {
    try {
      std::thread([this] { run(); }).detach();
      runs_ = true;
    } catch (const std::system_error&) {
      // As it is.
    }
    return runs_;
  }

  void run() {
    // Otherwise it has the name of whichever thread came first.
    pthread_setname_np(pthread_self(), "semper-timers");
    std::unique_lock lock(mutex_);
    while (true) {
      if (timers_.empty()) {
        wake_.wait(lock);
        continue;
      }
      const auto first = timers_.begin();
      // A copy: wait_until reads it after the wait too, when the timer may have been cancelled.
      const MonotonicTime when = first->first.first;
      if (when > std::chrono::steady_clock::now()) {
        wake_.wait_until(lock, when);
        continue;
      }
      auto callback = std::move(first->second);
      times_.erase(first->first.second);
      timers_.erase(first);
      lock.unlock();
      callback();
      callback = nullptr;
      lock.lock();
    }
  }

  const ForkGuard fork_{};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<Key, std::function<void()>> timers_;
  std::unordered_map<TimerId, MonotonicTime> times_;
  bool runs_ = false;
  bool said_ = false;  // that it does not
};

// In a forked child the queue is another one: the parent's is left as it is, for its thread is not
// there, its lock may be held, and its callbacks are about the parent's things.
class SystemClock final : public Clock {
 public:
  MonotonicTime now() const noexcept override { return std::chrono::steady_clock::now(); }
  WallTime wall_time() const noexcept override { return std::chrono::system_clock::now(); }

  TimerId call_at(MonotonicTime when, std::function<void()> callback) override {
    const TimerId timer = last_timer_.fetch_add(1, std::memory_order_relaxed) + 1;
    queue().add(timer, when, std::move(callback));
    return timer;
  }

  bool cancel(TimerId timer) noexcept override { return queue().cancel(timer); }

 private:
  TimerQueue& queue() {
    TimerQueue* present = queue_.load(std::memory_order_acquire);
    if (!present->is_foreign()) [[likely]]
      return *present;
    auto fresh = std::make_unique<TimerQueue>();
    if (queue_.compare_exchange_strong(present, fresh.get())) return *fresh.release();
    return *present;
  }

  std::atomic<TimerQueue*> queue_ = new TimerQueue;
  std::atomic<TimerId> last_timer_ = 0;
};

}  // namespace

Clock& system_clock() {
  // Never destroyed, nor is its thread joined: static objects of the program (a Scheduler, a
  // stream) may be destroyed later, and cancel their timers then.
  static auto* const clock = new SystemClock();
  return *clock;
}

// Made when the program is loaded: while a thread makes it, another one may fork.
[[maybe_unused]] static const Clock& system_clock_made_at_start = system_clock();

}  // namespace semper
