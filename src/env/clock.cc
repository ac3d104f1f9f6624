#include "semper/env/clock.h"

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>

#include "semper/env/one_shot.h"

namespace semper {
namespace {

// Timers in order of their time; one thread sleeps until the first of them.
class SystemClock final : public Clock {
 public:
  ~SystemClock() override {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  MonotonicTime now() const noexcept override { return std::chrono::steady_clock::now(); }
  WallTime wall_time() const noexcept override { return std::chrono::system_clock::now(); }

  TimerId call_at(MonotonicTime when, std::function<void()> callback) override {
    std::lock_guard lock(mutex_);
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    const TimerId timer = ++last_timer_;
    const auto place = timers_.emplace(Key{when, timer}, std::move(callback)).first;
    times_.emplace(timer, when);
    if (place == timers_.begin()) wake_.notify_one();
    return timer;
  }

  bool cancel(TimerId timer) noexcept override {
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

  void run() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      if (timers_.empty()) {
        wake_.wait(lock);
        continue;
      }
      const auto first = timers_.begin();
      // A copy: wait_until reads it after the wait too, when the timer may have been cancelled.
      const MonotonicTime when = first->first.first;
      if (when > now()) {
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

  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<Key, std::function<void()>> timers_;
  std::unordered_map<TimerId, MonotonicTime> times_;
  TimerId last_timer_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

Clock& system_clock() {
  static SystemClock clock;
  return clock;
}

Async<void> sleep_until(Clock& clock, MonotonicTime when) {
  OneShot<std::monostate> never;
  auto waited = co_await never.wait_until(clock, when);
  if (waited || waited.error().kind() == ErrorKind::timeout) co_return Status{};
  co_return fail(waited.error());
}

Async<void> sleep_for(Clock& clock, Duration span) {
  co_return co_await sleep_until(clock, clock.after(span));
}

}  // namespace semper
