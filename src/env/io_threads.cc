#include "io_threads.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "semper/base/assert.h"

namespace semper::internal {
namespace {

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

const IoCalls& system_io_calls() {
  static constexpr IoCalls calls{
      .preadv = ::preadv, .pwritev = ::pwritev, .fdatasync = ::fdatasync};
  return calls;
}

bool IoOperation::advance(std::size_t moved) {
  offset += moved;
  while (first_part < parts.size() && moved >= parts[first_part].iov_len) {
    moved -= parts[first_part].iov_len;
    ++first_part;
  }
  if (first_part == parts.size()) {
    SEMPER_ASSERT(moved == 0, "the kernel moves no more than it was asked to");
    return false;
  }
  parts[first_part].iov_base = static_cast<char*>(parts[first_part].iov_base) + moved;
  parts[first_part].iov_len -= moved;
  return true;
}

IoOutcome perform(IoOperation& operation, const IoCalls& calls) {
  bool more = operation.moves_bytes();
  while (more) {
    const iovec* first = operation.parts.data() + operation.first_part;
    const auto count =
        static_cast<int>(std::min(operation.parts.size() - operation.first_part, kPartsPerCall));
    const auto offset = static_cast<off_t>(operation.offset);
    const ssize_t moved = operation.kind == IoKind::read
                              ? calls.preadv(operation.descriptor, first, count, offset)
                              : calls.pwritev(operation.descriptor, first, count, offset);
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return {.error = errno};
    if (moved == 0) return {.hit_the_end = true};
    more = operation.advance(static_cast<std::size_t>(moved));
  }
  if (operation.flushes() && calls.fdatasync(operation.descriptor) != 0) {
    return {.error = errno, .in_flush = true};
  }
  return {};
}

IoThreads::IoThreads(const IoEngineOptions& options) : options_(options) {
  for (std::size_t i = 0; i < std::max<std::size_t>(options_.max_threads, 1); ++i) {
    threads_.emplace_back([this] {
      pthread_setname_np(pthread_self(), "semper-io");
      run();
    });
  }
}

IoThreads::~IoThreads() {
  {
    std::lock_guard lock(mutex_);
    stopping_.store(true);
  }
  work_.notify_all();
  for (auto& thread : threads_) thread.join();
  SEMPER_ASSERT(queue_.empty(), "everything submitted is done before the threads end");
}

void IoThreads::submit(IoOperationPtr operation) {
  enqueue_locked(std::move(operation), std::unique_lock(mutex_));
}

bool IoThreads::submit_if_idle(IoOperationPtr& operation) {
  std::unique_lock lock(mutex_);
  if (busy_ + queue_.size() >= threads_.size()) return false;
  enqueue_locked(std::move(operation), std::move(lock));
  return true;
}

void IoThreads::enqueue_locked(IoOperationPtr operation, std::unique_lock<std::mutex> lock) {
  queue_.push_back(std::move(operation));
  queued_.store(queue_.size(), std::memory_order_release);
  // Who spins sees queued_; only who sleeps must be woken.
  const bool wake = asleep_ > 0;
  lock.unlock();
  if (wake) work_.notify_one();
}

void IoThreads::spin() const {
  if (options_.spin.count() == 0) return;
  const auto until = std::chrono::steady_clock::now() + options_.spin;
  while (queued_.load(std::memory_order_acquire) == 0 &&
         !stopping_.load(std::memory_order_relaxed) && std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < 8; ++i) pause_cpu();
  }
}

void IoThreads::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (queue_.empty()) {
      if (stopping_.load()) return;
      ++asleep_;
      work_.wait(lock, [this] { return !queue_.empty() || stopping_.load(); });
      --asleep_;
      continue;
    }
    auto operation = std::move(queue_.front());
    queue_.pop_front();
    queued_.store(queue_.size(), std::memory_order_release);
    ++busy_;
    lock.unlock();
    const auto outcome = perform(*operation, *options_.calls);
    lock.lock();
    --busy_;
    lock.unlock();
    operation->done(outcome);
    operation.reset();
    spin();
    lock.lock();
  }
}

std::unique_ptr<IoEngine> start_io_threads(const IoEngineOptions& options) {
  return std::make_unique<IoThreads>(options);
}

}  // namespace semper::internal
