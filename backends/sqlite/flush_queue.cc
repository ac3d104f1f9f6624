#include "flush_queue.h"

#include "semper/base/assert.h"
#include "start_thread.h"

namespace semper::sqlite {

FlushQueue::~FlushQueue() {
  SEMPER_ASSERT(!thread_.joinable(), "a flush queue is stopped before it goes");
}

Status FlushQueue::start() {
  return start_thread(thread_, "semper-flush", [this] { run(); });
}

void FlushQueue::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
  resume();
}

Status FlushQueue::add(const LogSync::Mark& mark, Done done) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return fail(ErrorKind::closed, "the store was closed");
    if (waiters_.size() >= kFlushWaitersMaximum) {
      return fail(ErrorKind::retry, Limit{"kFlushWaitersMaximum", kFlushWaitersMaximum},
                  std::to_string(kFlushWaitersMaximum) +
                      " transactions wait for the disk already; try again later");
    }
    waiters_.push_back({mark, std::move(done)});
    if (busy_ || waiters_.size() > 1) return {};
  }
  work_.notify_one();
  return {};
}

bool FlushQueue::is_idle() const {
  std::lock_guard lock(mutex_);
  return !busy_ && waiters_.empty();
}

Async<void> FlushQueue::wait(LogSync::Mark mark) {
  for (int attempt = 0; attempt < kFlushRecoveries; ++attempt) {
    SEMPER_CO_TRY(const auto state, co_await flush(mark));
    if (state == LogSync::State::durable) co_return Status{};
    if (state != LogSync::State::written) break;
    SEMPER_CO_TRY_STATUS(co_await stall());
  }
  co_return fail(ErrorKind::io,
                 "what was read is not durable, because a flush of the log failed; begin anew");
}

Async<LogSync::State> FlushQueue::flush(LogSync::Mark mark) {
  OneShot<LogSync::State> flushed;
  SEMPER_CO_TRY_STATUS(add(mark, [flushed](LogSync::State state) mutable { flushed.set(state); }));
  co_return co_await flushed.wait();
}

Async<void> FlushQueue::stall() {
  OneShot<std::monostate> resumed;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) co_return fail(ErrorKind::closed, "the store was closed");
    std::erase_if(stalled_, [](const auto& other) { return other.is_set(); });
    stalled_.push_back(resumed);
  }
  on_failure_();
  SEMPER_CO_TRY_STATUS(co_await resumed.wait());
  co_return Status{};
}

void FlushQueue::resume() {
  std::vector<OneShot<std::monostate>> stalled;
  {
    std::lock_guard lock(mutex_);
    stalled.swap(stalled_);
  }
  for (auto& waiter : stalled) waiter.set({});
}

void FlushQueue::run() {
  std::vector<Waiter> taken;
  while (true) {
    taken.clear();
    {
      std::unique_lock lock(mutex_);
      busy_ = false;
      work_.wait(lock, [this] { return stopping_ || !waiters_.empty(); });
      if (waiters_.empty()) return;
      taken.swap(waiters_);
      busy_ = true;
    }
    // The first flush covers the others, mostly.
    for (const auto& waiter : taken) waiter.done(log_->flush(waiter.mark));
  }
}

}  // namespace semper::sqlite
