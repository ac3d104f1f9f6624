// The engine over io_uring. One thread owns the ring: the kernel then does the completions' work on
// that thread alone (DEFER_TASKRUN), and no request dies with the thread that asked for it. An
// operation has one request in the kernel at a time: its parts in pieces of kPartsPerCall, then its
// flush. A flush, and a write_and_flush that finds nothing else under way, goes to a blocking
// thread instead, where that is idle: io_uring hands fdatasync to a worker of its own, which costs
// two wake-ups more.
//
// A kernel that takes the ring away while it is in use (a filter of system calls that a program
// puts on itself later) ends it: the blocking thread does everything from then on. What the kernel
// had taken before is waited for, since it may still write into the caller's memory.
#include <liburing.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "io_threads.h"
#include "parent_descriptor.h"
#include "semper/base/assert.h"
#include "semper/base/log.h"

namespace semper::internal {
namespace {

// Requests in the kernel at once; more wait here.
constexpr unsigned kDepth = 256;
// EINTR and EAGAIN of one operation; then the blocking thread goes on with it, which asks
// patiently.
constexpr int kInterruptionsInRing = 8;
// How often it is looked for completions of a ring that was taken away.
constexpr auto kRefusedPause = std::chrono::milliseconds(5);

class IoUring final : public IoEngine {
 public:
  static Result<std::unique_ptr<IoEngine>> start(const IoEngineOptions& options) {
    std::unique_ptr<IoUring> engine(new IoUring());
    IoEngineOptions one = options;
    one.max_threads = 1;
    SEMPER_TRY(engine->blocking_, IoThreads::start(one));
    std::promise<int> started;
    auto answer = started.get_future();
    try {
      engine->thread_ = std::thread([&engine = *engine, &started] {
        pthread_setname_np(pthread_self(), "semper-uring");
        const int error = engine.set_up();
        started.set_value(error);
        if (error == 0) engine.run();
      });
    } catch (const std::system_error& refused) {
      return fail(ErrorKind::unsupported,
                  std::string("io_uring is not available: no thread for it: ") + refused.what());
    }
    const int error = answer.get();
    if (error != 0) {
      engine->thread_.join();
      return fail(ErrorKind::unsupported,
                  std::string("io_uring is not available: ") + std::strerror(error));
    }
    return engine;
  }

  ~IoUring() override {
    if (thread_.joinable()) {
      stopping_.store(true);
      wake();
      thread_.join();
    }
    blocking_.reset();  // the ring hands over to it
  }

  void submit(IoOperationPtr operation) override {
    // A flush by itself waits for nothing that is under way.
    const bool stands_alone = operation->kind == IoKind::flush || in_ring_.load() == 0;
    if (operation->flushes() && stands_alone && blocking_->submit_if_idle(operation)) return;
    {
      std::lock_guard lock(mutex_);
      if (refused_) return blocking_->submit(std::move(operation));
      in_ring_.fetch_add(1);
      queue_.push_back(std::move(operation));
    }
    if (sleeping_.exchange(false)) wake();
  }

  std::string description() const override { return "io_uring"; }

 private:
  IoUring() = default;

  // errno, or 0.
  int set_up() {
    FileDescriptor event(::eventfd(0, EFD_CLOEXEC));
    if (!event) return errno;
    wake_descriptor_.emplace(std::move(event));
    int error = io_uring_queue_init(
        kDepth, &ring_,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN);
    if (error == -EINVAL) error = io_uring_queue_init(kDepth, &ring_, 0);  // before Linux 6.1
    if (error < 0) return -error;
    // To make one and to use it are allowed by two system calls.
    io_uring_prep_nop(request());
    const int used = io_uring_submit_and_wait(&ring_, 1);
    io_uring_cqe* entry = nullptr;
    if (used < 0 || io_uring_peek_cqe(&ring_, &entry) != 0) {
      io_uring_queue_exit(&ring_);
      return used < 0 ? -used : EIO;
    }
    io_uring_cqe_seen(&ring_, entry);
    ring_descriptor_.emplace(FileDescriptor(ring_.ring_fd));
    return 0;
  }

  void wake() {
    const std::uint64_t one = 1;
    SEMPER_ASSERT(::write(wake_descriptor_->get(), &one, sizeof one) == sizeof one,
                  "an eventfd takes one");
  }

  io_uring_sqe* request() {
    auto* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) {
      io_uring_submit(&ring_);
      entry = io_uring_get_sqe(&ring_);
    }
    SEMPER_ASSERT(entry != nullptr, "no more requests are made than the ring has places");
    return entry;
  }

  void start_request(IoOperation& operation) {
    auto* entry = request();
    if (operation.moves_bytes() && operation.first_part < operation.parts.size()) {
      const iovec* first = operation.parts.data() + operation.first_part;
      const auto count = static_cast<unsigned>(
          std::min(operation.parts.size() - operation.first_part, kPartsPerCall));
      if (operation.kind == IoKind::read) {
        io_uring_prep_readv(entry, operation.descriptor, first, count, operation.offset);
      } else {
        io_uring_prep_writev(entry, operation.descriptor, first, count, operation.offset);
      }
    } else if (operation.flushes() && !operation.is_too_late()) {
      io_uring_prep_fsync(entry, operation.descriptor, IORING_FSYNC_DATASYNC);
    } else {
      io_uring_prep_nop(entry);
    }
    io_uring_sqe_set_data(entry, &operation);
  }

  enum class Step : std::uint8_t { ended, goes_on, handed_over };

  Step complete_request(IoOperation& operation, int result, IoOutcome& outcome) {
    const bool moving = operation.moves_bytes() && operation.first_part < operation.parts.size();
    if (result == -EINTR || result == -EAGAIN) {
      return ++operation.interruptions > kInterruptionsInRing ? Step::handed_over
                                                              : go_on(operation);
    }
    if (result < 0) {
      outcome.error = -result;
      outcome.in_flush = !moving;
      return Step::ended;
    }
    if (!moving) {
      // It may have been late when it was asked for (then nothing was), or only since.
      if (operation.flushes() && operation.is_too_late()) outcome = IoOperation::too_late();
      return Step::ended;
    }
    if (result == 0) {
      outcome.hit_the_end = true;
      return Step::ended;
    }
    if (!operation.advance(static_cast<std::size_t>(result)) && !operation.flushes()) {
      return Step::ended;
    }
    return go_on(operation);
  }

  Step go_on(IoOperation& operation) {
    if (refused_) return Step::handed_over;
    start_request(operation);
    return Step::goes_on;
  }

  void listen() {
    auto* entry = request();
    io_uring_prep_read(entry, wake_descriptor_->get(), &wake_count_, sizeof wake_count_, 0);
    io_uring_sqe_set_data(entry, nullptr);
  }

  // Takes new operations as far as there are places. True: none is left behind.
  bool take_new() {
    std::lock_guard lock(mutex_);
    while (!queue_.empty() && in_kernel_ + 1 < kDepth) {
      ++in_kernel_;
      start_request(*queue_.front().release());  // owned by the kernel until it completes
      queue_.pop_front();
    }
    return queue_.empty();
  }

  void reap() {
    io_uring_cqe* entry = nullptr;
    while (io_uring_peek_cqe(&ring_, &entry) == 0) {
      auto* operation = static_cast<IoOperation*>(io_uring_cqe_get_data(entry));
      const int result = entry->res;
      io_uring_cqe_seen(&ring_, entry);
      if (operation == nullptr) {
        if (!refused_) listen();
        continue;
      }
      IoOutcome outcome;
      const Step step = complete_request(*operation, result, outcome);
      if (step == Step::goes_on) continue;
      auto over = let_go(operation);
      if (step == Step::ended) {
        over->done(outcome);
      } else {
        blocking_->submit(std::move(over));
      }
    }
  }

  IoOperationPtr let_go(IoOperation* operation) {
    --in_kernel_;
    in_ring_.fetch_sub(1);
    return IoOperationPtr(operation);
  }

  void run() {
    listen();
    while (!refused_) {
      bool none_waits = take_new();
      if (stopping_.load() && none_waits && in_kernel_ == 0) break;
      // Announced before the last look, so that a submitter either is seen or wakes us.
      sleeping_.store(true);
      {
        std::lock_guard lock(mutex_);
        none_waits = queue_.empty() || in_kernel_ + 1 >= kDepth;
      }
      if (stopping_.load() && in_kernel_ == 0) none_waits = false;
      const int submitted = io_uring_submit_and_wait(&ring_, none_waits ? 1 : 0);
      sleeping_.store(false);
      if (submitted == -EAGAIN) std::this_thread::sleep_for(kRefusedPause);  // no memory just now
      const bool may_pass = submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY;
      if (submitted < 0 && !may_pass) refuse(-submitted);
      reap();
    }
    while (in_kernel_ > 0) {
      std::this_thread::sleep_for(kRefusedPause);
      static_cast<void>(io_uring_get_events(&ring_));
      reap();
    }
    static_cast<void>(ring_descriptor_->release());  // closed with the ring
    io_uring_queue_exit(&ring_);
  }

  void refuse(int error) {
    log_warning("env", std::string("io_uring is refused now (") + std::strerror(error) +
                           "); a thread does what it did");
    std::deque<IoOperationPtr> left;
    {
      std::lock_guard lock(mutex_);
      refused_ = true;
      in_ring_.fetch_sub(queue_.size());
      left.swap(queue_);
    }
    // What was prepared, and the kernel has not taken.
    for (unsigned at = *ring_.sq.khead; at != ring_.sq.sqe_tail; ++at) {
      const io_uring_sqe& entry = ring_.sq.sqes[at & ring_.sq.ring_mask];
      auto* const operation =
          reinterpret_cast<IoOperation*>(static_cast<std::uintptr_t>(entry.user_data));
      if (operation != nullptr) left.push_back(let_go(operation));
    }
    for (auto& operation : left) blocking_->submit(std::move(operation));
  }

  std::unique_ptr<IoThreads> blocking_;
  io_uring ring_{};
  std::optional<ParentDescriptor> wake_descriptor_;
  std::optional<ParentDescriptor> ring_descriptor_;
  std::uint64_t wake_count_ = 0;
  unsigned in_kernel_ = 0;  // the ring's thread

  std::mutex mutex_;
  std::deque<IoOperationPtr> queue_;
  bool refused_ = false;  // by the kernel; read by the ring's thread without the lock
  std::atomic<std::size_t> in_ring_ = 0;
  std::atomic<bool> sleeping_ = false;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<IoEngine>> start_io_uring(const IoEngineOptions& options) {
  return IoUring::start(options);
}

}  // namespace semper::internal
