// How a FileBlockDevice has its operations done: by threads, or by io_uring.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "semper/base/result.h"

namespace semper::internal {

enum class IoKind : std::uint8_t { read, write, flush, write_and_flush };

// What became of an operation: bytes moved, and where it failed.
struct IoOutcome {
  int error = 0;  // errno
  bool in_flush = false;
  // The device ended before the operation did.
  bool hit_the_end = false;
};

struct IoOperation {
  IoKind kind = IoKind::read;
  int descriptor = -1;
  bool skip_flush = false;
  // Set once a flush of this file has failed: then no other one is asked for.
  const std::atomic<bool>* has_failed = nullptr;
  std::uint64_t offset = 0;
  std::vector<iovec> parts;

  // Called once, on a thread of the engine (or the caller's), and must not block.
  std::function<void(const IoOutcome&)> done;

  bool moves_bytes() const { return kind != IoKind::flush && !parts.empty(); }
  bool flushes() const {
    return (kind == IoKind::flush || kind == IoKind::write_and_flush) && !skip_flush;
  }

  // A flush that must not be asked for any more; what that gives.
  bool is_too_late() const { return has_failed != nullptr && has_failed->load(); }
  static IoOutcome too_late();

  // Takes what was moved off the front. False: nothing is left to move.
  bool advance(std::size_t moved);

  std::size_t first_part = 0;
  int interruptions = 0;  // by io_uring
};
using IoOperationPtr = std::unique_ptr<IoOperation>;

// Parts that one system call takes (IOV_MAX).
inline constexpr std::size_t kPartsPerCall = 1024;

// What the blocking way of doing it calls; tests put failures here.
struct IoCalls {
  ssize_t (*preadv)(int, const iovec*, int, off_t);
  ssize_t (*pwritev)(int, const iovec*, int, off_t);
  int (*fdatasync)(int);
};
const IoCalls& system_io_calls();

// The kernel may say EINTR and EAGAIN, to reads, writes and flushes, for nothing that was done:
// asked again so often, with pauses that grow to 10 ms (about 2 s in all), before it is taken for
// an error.
inline constexpr int kAttemptsOfOneCall = 200;

// Does it on this thread.
IoOutcome perform(IoOperation& operation, const IoCalls& calls);

// The destructor does everything that was submitted, then ends the threads.
class IoEngine {
 public:
  IoEngine() = default;
  IoEngine(const IoEngine&) = delete;
  IoEngine& operator=(const IoEngine&) = delete;
  virtual ~IoEngine() = default;

  // Any thread.
  virtual void submit(IoOperationPtr operation) = 0;
  virtual std::string description() const = 0;
};

struct IoEngineOptions {
  std::size_t max_threads = 4;
  std::chrono::microseconds spin{0};
  const IoCalls* calls = &system_io_calls();
};

// Error: exhausted, where not one thread can be started; with fewer than were asked for it works.
Result<std::unique_ptr<IoEngine>> start_io_threads(const IoEngineOptions& options);

// Error: unsupported, with the system's reason: also where the ring can be made, and not used.
Result<std::unique_ptr<IoEngine>> start_io_uring(const IoEngineOptions& options);

}  // namespace semper::internal
