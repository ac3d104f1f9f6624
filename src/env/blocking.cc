#include "semper/env/blocking.h"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <system_error>
#include <thread>

#include "semper/env/fork.h"

namespace semper::internal {
namespace {

constexpr auto kIdleThreadEnds = std::chrono::seconds(10);

class BlockingThreads {
 public:
  // A child has none of its parent's threads, and perhaps its locks: it gets an object of its own.
  // Never destroyed, for the threads are not joined.
  static BlockingThreads& instance() {
    BlockingThreads* present = current_.load(std::memory_order_acquire);
    if (present != nullptr && !present->fork_.is_foreign()) return *present;
    auto fresh = std::make_unique<BlockingThreads>();
    if (current_.compare_exchange_strong(present, fresh.get())) return *fresh.release();
    return *present;
  }

  Status start(std::function<void()> work) {
    std::lock_guard lock(mutex_);
    if (waiting_.size() >= kBlockingCallsWaiting) {
      return fail(
          ErrorKind::retry, Limit{"kBlockingCallsWaiting", kBlockingCallsWaiting},
          std::to_string(waiting_.size()) + " functions that block wait for a thread already");
    }
    waiting_.push_back(std::move(work));
    if (waiting_.size() <= idle_) {
      wake_.notify_one();
    } else if (threads_ < kBlockingThreads && !add_thread() && threads_ == 0) {
      waiting_.pop_back();
      return fail(ErrorKind::exhausted, "no thread can be started for a function that blocks");
    }
    return Status();
  }

 private:
  // With the lock held.
  bool add_thread() {
    try {
      std::thread([this] { run(); }).detach();
      ++threads_;
      return true;
    } catch (const std::system_error&) {
      return false;  // those that are there take it
    }
  }

  void run() {
    pthread_setname_np(pthread_self(), "semper-blocking");
    std::unique_lock lock(mutex_);
    while (true) {
      ++idle_;
      const bool due = wake_.wait_for(lock, kIdleThreadEnds, [this] { return !waiting_.empty(); });
      --idle_;
      if (!due) break;
      auto work = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      work();
      work = nullptr;
      lock.lock();
    }
    --threads_;
  }

  static inline std::atomic<BlockingThreads*> current_ = nullptr;

  const ForkGuard fork_{};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> waiting_;
  std::size_t threads_ = 0;
  std::size_t idle_ = 0;
};

}  // namespace

Status start_blocking(std::function<void()> work) {
  return BlockingThreads::instance().start(std::move(work));
}

BlockingCall::~BlockingCall() {
  if (fork_.is_foreign()) return;
  std::unique_lock lock(progress_->mutex);
  progress_->changed.wait(lock, [this] { return !progress_->runs; });
}

std::shared_ptr<BlockingCall::Progress> BlockingCall::begin() {
  progress_->runs = true;
  return progress_;
}

void BlockingCall::end(Progress& progress) {
  std::lock_guard lock(progress.mutex);
  progress.runs = false;
  progress.changed.notify_all();
}

}  // namespace semper::internal
