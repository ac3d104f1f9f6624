// The engine over io_uring. One thread owns the ring: the kernel then does the completions' work on
// that thread alone (DEFER_TASKRUN), and no request dies with the thread that asked for it. An
// operation has one request in the kernel at a time: its parts in pieces of kPartsPerCall, then its
// flush. A write_and_flush, or a flush, that finds nothing else under way goes to a blocking thread
// instead: io_uring hands fdatasync to a worker of its own, which costs two wake-ups more.
#include <liburing.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <utility>

#include "io_threads.h"
#include "semper/base/assert.h"

namespace semper::internal {
namespace {

// Requests in the kernel at once; more wait here.
constexpr unsigned kDepth = 256;

class IoUring final : public IoEngine {
 public:
  static Result<std::unique_ptr<IoEngine>> start(const IoEngineOptions& options) {
    std::unique_ptr<IoUring> engine(new IoUring(options));
    std::promise<int> started;
    auto answer = started.get_future();
    engine->thread_ = std::thread([&engine = *engine, &started] {
      pthread_setname_np(pthread_self(), "semper-uring");
      const int error = engine.set_up();
      started.set_value(error);
      if (error == 0) engine.run();
    });
    const int error = answer.get();
    if (error != 0) {
      engine->thread_.join();
      return fail(ErrorKind::unsupported,
                  std::string("io_uring is not to be had: ") + std::strerror(error));
    }
    return engine;
  }

  ~IoUring() override {
    blocking_.reset();
    if (thread_.joinable()) {
      stopping_.store(true);
      wake();
      thread_.join();
    }
    if (wake_descriptor_ >= 0) ::close(wake_descriptor_);
  }

  void submit(IoOperationPtr operation) override {
    if (operation->flushes() && in_ring_.load() == 0 && blocking_->submit_if_idle(operation))
      return;
    in_ring_.fetch_add(1);
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(operation));
    }
    if (sleeping_.exchange(false)) wake();
  }

  std::string description() const override { return "io_uring"; }

 private:
  explicit IoUring(const IoEngineOptions& options) {
    IoEngineOptions one = options;
    one.max_threads = 1;
    blocking_ = std::make_unique<IoThreads>(one);
  }

  // errno, or 0.
  int set_up() {
    wake_descriptor_ = ::eventfd(0, EFD_CLOEXEC);
    if (wake_descriptor_ < 0) return errno;
    int error = io_uring_queue_init(
        kDepth, &ring_,
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN);
    if (error == -EINVAL) error = io_uring_queue_init(kDepth, &ring_, 0);  // before Linux 6.1
    return -error;
  }

  void wake() {
    const std::uint64_t one = 1;
    SEMPER_ASSERT(::write(wake_descriptor_, &one, sizeof one) == sizeof one,
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
    } else if (operation.flushes()) {
      io_uring_prep_fsync(entry, operation.descriptor, IORING_FSYNC_DATASYNC);
    } else {
      io_uring_prep_nop(entry);
    }
    io_uring_sqe_set_data(entry, &operation);
  }

  // True: the operation is at its end.
  bool complete_request(IoOperation& operation, int result, IoOutcome& outcome) {
    const bool moving = operation.moves_bytes() && operation.first_part < operation.parts.size();
    if (result == -EINTR || result == -EAGAIN) {
      start_request(operation);
      return false;
    }
    if (result < 0) {
      outcome.error = -result;
      outcome.in_flush = !moving;
      return true;
    }
    if (!moving) return true;
    if (result == 0) {
      outcome.hit_the_end = true;
      return true;
    }
    if (!operation.advance(static_cast<std::size_t>(result)) && !operation.flushes()) return true;
    start_request(operation);
    return false;
  }

  void listen() {
    auto* entry = request();
    io_uring_prep_read(entry, wake_descriptor_, &wake_count_, sizeof wake_count_, 0);
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
        listen();
        continue;
      }
      IoOutcome outcome;
      if (!complete_request(*operation, result, outcome)) continue;
      --in_kernel_;
      in_ring_.fetch_sub(1);
      IoOperationPtr ended(operation);
      ended->done(outcome);
    }
  }

  void run() {
    listen();
    while (true) {
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
      SEMPER_ASSERT(
          submitted >= 0 || submitted == -EINTR || submitted == -EAGAIN || submitted == -EBUSY,
          "io_uring takes what was prepared");
      reap();
    }
    io_uring_queue_exit(&ring_);
  }

  std::unique_ptr<IoThreads> blocking_;
  io_uring ring_{};
  int wake_descriptor_ = -1;
  std::uint64_t wake_count_ = 0;
  unsigned in_kernel_ = 0;  // the ring's thread

  std::mutex mutex_;
  std::deque<IoOperationPtr> queue_;
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
