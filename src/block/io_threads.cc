#include "io_threads.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::internal {
namespace {

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Asks again where the kernel did nothing.
template <class Call>
auto ask_patiently(Call call) {
  auto pause = std::chrono::microseconds(0);
  for (int attempt = 1;; ++attempt) {
    const auto answer = call();
    if (answer >= 0 || (errno != EINTR && errno != EAGAIN)) return answer;
    if (SEMPER_MUTANT("block_interruption_taken_for_a_failure")) return answer;
    if (attempt == kAttemptsOfOneCall) return answer;
    const int why = errno;
    if (pause.count() > 0) std::this_thread::sleep_for(pause);
    if (why == EAGAIN || attempt > 8) {
      pause =
          std::clamp(pause * 2, std::chrono::microseconds(10), std::chrono::microseconds(10'000));
    }
  }
}

}  // namespace

const IoCalls& system_io_calls() {
  static constexpr IoCalls calls{
      .preadv = ::preadv, .pwritev = ::pwritev, .fdatasync = ::fdatasync};
  return calls;
}

IoOutcome IoOperation::too_late() {
  return {.error = EIO, .in_flush = true};
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
    const ssize_t moved = ask_patiently([&] {
      return operation.kind == IoKind::read
                 ? calls.preadv(operation.descriptor, first, count, offset)
                 : calls.pwritev(operation.descriptor, first, count, offset);
    });
    if (moved < 0) return {.error = errno};
    if (moved == 0) return {.hit_the_end = true};
    more = operation.advance(static_cast<std::size_t>(moved));
    if (SEMPER_MUTANT("block_short_write_taken_for_a_whole_one")) break;
  }
  if (operation.moves_bytes() && SEMPER_MUTANT("block_write_and_flush_does_not_flush")) return {};
  if (operation.flushes() && operation.is_too_late()) return IoOperation::too_late();
  // A flush that was interrupted has not failed: it was not done, and has reported nothing.
  if (operation.flushes() &&
      ask_patiently([&] { return calls.fdatasync(operation.descriptor); }) != 0) {
    if (SEMPER_MUTANT("block_error_of_a_flush_swallowed")) return {};
    return {.error = errno, .in_flush = true};
  }
  return {};
}

Result<std::unique_ptr<IoThreads>> IoThreads::start(const IoEngineOptions& options) {
  std::unique_ptr<IoThreads> engine(new IoThreads(options));
  const std::size_t wanted = std::max<std::size_t>(options.max_threads, 1);
  // Reserved: the threads count them.
  engine->threads_.reserve(wanted);
  std::lock_guard lock(engine->mutex_);
  while (engine->threads_.size() < wanted) {
    try {
      engine->threads_.emplace_back([engine = engine.get()] {
        pthread_setname_np(pthread_self(), "semper-io");
        engine->run();
      });
    } catch (const std::system_error& error) {
      if (!engine->threads_.empty()) break;
      return fail(ErrorKind::exhausted,
                  std::string("no thread can be started for its operations: ") + error.what() +
                      "; raise the limits on threads (ulimit -u, pids.max), or open it with "
                      "IoMode::inline_blocking");
    }
  }
  return engine;
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

Result<std::unique_ptr<IoEngine>> start_io_threads(const IoEngineOptions& options) {
  SEMPER_TRY(std::unique_ptr<IoEngine> engine, IoThreads::start(options));
  return engine;
}

}  // namespace semper::internal
