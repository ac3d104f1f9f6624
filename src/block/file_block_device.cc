#include "semper/block/file_block_device.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <optional>
#include <utility>

#include "file_device_internal.h"
#include "file_device_probe.h"
#include "flush_order.h"
#include "io_engine.h"
#include "parent_descriptor.h"
#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/direct_executor.h"
#include "semper/env/fork.h"
#include "semper/env/gate.h"
#include "semper/env/one_shot.h"
#include "shared_companion.h"

namespace semper::internal {
namespace {

struct IoResult {
  Status status;
};

// An operation that the engine has. Its memory is the caller's, so whoever goes before the engine
// has let go of that waits, even where a destructor has to: an io_context that is destroyed with
// operations under way waits for them.
struct Flight {
  explicit Flight(Gate::Holder holder) : held(std::move(holder)) {}
  void land() {
    landed.store(true, std::memory_order_release);
    landed.notify_all();
  }
  // Held until the engine has let go, also where nobody waits any more.
  std::optional<Gate::Holder> held;
  std::atomic<bool> landed = false;
};

class FlightGuard {
 public:
  explicit FlightGuard(std::shared_ptr<Flight> flight) : flight_(std::move(flight)) {}
  FlightGuard(const FlightGuard&) = delete;
  FlightGuard& operator=(const FlightGuard&) = delete;
  ~FlightGuard() {
    if (!fork_.is_foreign()) flight_->landed.wait(false, std::memory_order_acquire);
  }

 private:
  const ForkGuard fork_{};
  std::shared_ptr<Flight> flight_;
};

const char* verb(IoKind kind) {
  return kind == IoKind::read ? "reading" : kind == IoKind::flush ? "flushing" : "writing";
}

std::string absolute(const std::string& path) {
  std::error_code failed;
  const auto full = std::filesystem::absolute(path, failed);
  return failed ? path : full.string();
}

// The device whose news this thread brings; whoever goes on with them is still inside.
thread_local const BlockDevice* delivering = nullptr;

class FileBlockDevice final : public BlockDevice {
 public:
  FileBlockDevice(std::string path, FileDeviceOptions options, ProbedDevice device)
      : path_(std::move(path)),
        full_path_(absolute(path_)),
        file_(device.status),
        options_(options),
        descriptor_(std::make_shared<ParentDescriptor>(std::move(device.descriptor))),
        is_block_device_(device.is_block_device),
        is_direct_(device.is_direct),
        sector_size_(device.sector_size),
        true_size_(device.true_size),
        size_(device.size),
        gate_(path_) {}

  // The engine first: it does what is in flight. In a forked child it has no threads, and all of
  // this is the parent's: left as it is.
  ~FileBlockDevice() override {
    if (fork_.is_foreign()) {
      static_cast<void>(engine_.release());
      static_cast<void>(companion_.release());
      return;
    }
    SEMPER_ASSERT(delivering != this, "a device is not destroyed on a thread of its own");
    shut();
    wait_until_left();
    stop_engine();
  }

  Status start(const struct stat& status, const IoCalls& calls);

  std::string_view name() const noexcept override { return path_; }
  std::uint64_t size() const noexcept override { return size_; }
  std::uint32_t sector_size() const noexcept override { return sector_size_; }
  bool is_read_only() const noexcept override { return options_.read_only; }
  DeviceCompanion* companion() noexcept override { return companion_.get(); }
  Status check_place() override;

  std::string description() const override {
    return way_ + (is_direct_ ? ", O_DIRECT" : ", page cache") +
           (options_.durability == Durability::none ? ", no flush" : "");
  }

  Async<void> read(std::uint64_t offset, ReadParts parts) override {
    assert_access(offset, parts);
    return run(IoKind::read, offset, vectors(parts));
  }
  Async<void> write(std::uint64_t offset, WriteParts parts) override {
    assert_access(offset, parts);
    return run(IoKind::write, offset, vectors(parts));
  }
  Async<void> flush() override { return run(IoKind::flush, 0, {}); }
  Async<void> write_and_flush(std::uint64_t offset, WriteParts parts) override {
    assert_access(offset, parts);
    return run(IoKind::write_and_flush, offset, vectors(parts));
  }

  Async<void> close() override {
    SEMPER_CO_TRY_STATUS(fork_.check(path_));
    shut();
    co_await gate_.close();
    stop_engine();
    co_return Status{};
  }

 private:
  static std::vector<iovec> vectors(const auto& parts) {
    std::vector<iovec> list;
    list.reserve(parts.size());
    for (const auto& part : parts) {
      if (part.empty()) continue;
      auto* memory = const_cast<void*>(static_cast<const void*>(part.data()));
      list.push_back({.iov_base = memory, .iov_len = part.size()});
    }
    return list;
  }

  // Whoever entered before the gate was shut still asks the engine, mostly on a thread of the
  // engine's: the work of a ring's call whose loop is gone. It ends there, for the gate lets it in
  // no more.
  void wait_until_left() {
    const auto left = std::make_shared<std::atomic<bool>>(false);  // outlives the notification
    const DirectExecutor here;
    here.start([this, left]() -> Task<void> {
      co_await gate_.close();
      left->store(true);
      left->notify_all();
    });
    left->wait(false);
  }

  // Taken away first: close() may be called twice at once.
  void stop_engine() {
    std::unique_ptr<IoEngine> ending;
    {
      std::lock_guard lock(mutex_);
      ending.swap(engine_);
    }
  }

  void shut() {
    gate_.shut();
    if (companion_) companion_->close();
  }

  Async<void> run(IoKind kind, std::uint64_t offset, std::vector<iovec> parts);
  Status run_here(std::unique_ptr<IoOperation> operation, std::uint64_t offset,
                  std::uint64_t length);
  // What must hold before anything is asked of the kernel.
  Status admit(IoKind kind) const;
  // Turns what became of an operation into what the caller is told, and remembers what is final.
  Status settle(IoKind kind, std::uint64_t offset, std::uint64_t length, const IoOutcome& outcome);
  Error describe(IoKind kind, std::uint64_t offset, std::uint64_t length,
                 const IoOutcome& outcome) const;
  Status check_in_place() const;
  // What the handle says since a flush has failed.
  Status failure() const;

  const std::string path_;
  const std::string full_path_;  // whatever becomes the working directory
  const struct stat file_;       // as it was opened
  const FileDeviceOptions options_;
  const ForkGuard fork_{};
  const std::shared_ptr<ParentDescriptor> descriptor_;
  const bool is_block_device_;
  const bool is_direct_;
  const std::uint32_t sector_size_;
  const std::uint64_t true_size_;
  const std::uint64_t size_;
  std::string way_;
  const IoCalls* calls_ = nullptr;

  mutable std::mutex mutex_;
  std::optional<Error> failed_;  // a flush
  std::atomic<bool> has_failed_ = false;
  std::atomic<std::size_t> in_flight_ = 0;
  FlushOrder flushes_;
  std::mutex inline_flush_;  // IoMode::inline_blocking

  Gate gate_;
  std::unique_ptr<SharedCompanion> companion_;
  std::unique_ptr<IoEngine> engine_;
};

Status FileBlockDevice::start(const struct stat& status, const IoCalls& calls) {
  calls_ = &calls;
  const IoEngineOptions chosen{
      .max_threads = options_.max_threads, .spin = options_.spin, .calls = &calls};
  std::string why;
  if (options_.mode == IoMode::automatic || options_.mode == IoMode::io_uring) {
    auto ring = start_io_uring(chosen);
    if (!ring && options_.mode == IoMode::io_uring) return fail(ring.error().in(path_));
    if (ring) {
      engine_ = std::move(*ring);
    } else {
      why = " (" + ring.error().message() + ")";
    }
  }
  if (options_.mode == IoMode::inline_blocking) {
    way_ = "on the caller's thread";
  } else {
    if (!engine_) {
      auto threads = start_io_threads(chosen);
      if (!threads) return fail(threads.error().in(path_));
      engine_ = std::move(*threads);
    }
    way_ = engine_->description() + why;
  }
  if (options_.companion == CompanionUse::none) return {};
  auto memory = SharedMemory::open(path_, descriptor_->get(), status);
  if (!memory) return options_.read_only ? Status{} : fail(memory.error());
  SharedCompanion::Context context{.device = path_,
                                   .read_only = options_.read_only,
                                   .descriptor = descriptor_,
                                   .memory = std::move(*memory)};
  companion_ = std::make_unique<SharedCompanion>(std::move(context));
  return {};
}

Status FileBlockDevice::admit(IoKind kind) const {
  if (has_failed_.load()) return failure();
  if (kind == IoKind::read) return {};
  if (kind != IoKind::flush && options_.read_only) {
    return fail(ErrorKind::permission, path_ + " was opened read-only");
  }
  return check_in_place();
}

// A file that was cut short would grow again by the next write, with a hole in it, and one that was
// deleted takes everything into its grave. Asked by statx without the times, for a third of a
// microsecond: who reads the times (fstat) makes the next write record a finer one in the inode
// (multigrain timestamps, Linux 6.13), which adds half of a durable write's cost to it.
Status FileBlockDevice::check_in_place() const {
  if (is_block_device_) return {};
  if (SEMPER_MUTANT("block_file_that_is_gone_written_to")) return {};
  struct statx status {};
  if (::statx(descriptor_->get(), "", AT_EMPTY_PATH, STATX_NLINK | STATX_SIZE, &status) != 0) {
    return fail(error_from_errno(errno, "cannot look at " + path_));
  }
  if (status.stx_nlink == 0) {
    return fail(ErrorKind::io, path_ +
                                   " was deleted while it was open; what is written to it is "
                                   "lost when it is closed");
  }
  const auto present = std::uint64_t{status.stx_size};
  if (present < size_) {
    return fail(ErrorKind::io, path_ + " has changed its size from " + std::to_string(true_size_) +
                                   " to " + std::to_string(present) +
                                   " bytes while it was open; open it again");
  }
  return {};
}

// A file that was moved away, and whose name nobody has taken, is no error: the name may be out of
// this process's sight.
Status FileBlockDevice::check_place() {
  SEMPER_TRY_STATUS(fork_.check(path_));
  if (gate_.is_closed()) return fail(ErrorKind::closed, path_ + " was closed; open it again");
  if (is_block_device_) {
    const auto present = size_now(descriptor_->get(), is_block_device_);
    if (present && *present != 0) return {};
    return fail(ErrorKind::io, path_ + " is gone (unplugged?); plug it in and open it again");
  }
  SEMPER_TRY_STATUS(check_in_place());
  struct stat named {};
  if (::stat(full_path_.c_str(), &named) != 0) return {};
  if (named.st_ino == file_.st_ino && named.st_dev == file_.st_dev) return {};
  return fail(ErrorKind::io, path_ +
                                 " was replaced by another file while it was open, and this handle "
                                 "has the old one; open it again");
}

Async<void> FileBlockDevice::run(IoKind kind, std::uint64_t offset, std::vector<iovec> parts) {
  SEMPER_CO_TRY_STATUS(fork_.check(path_));
  auto entered = gate_.enter();
  auto entered_again = gate_.enter();
  if (!entered || !entered_again) {
    co_return fail(ErrorKind::closed, path_ + " was closed; open it again");
  }
  SEMPER_CO_TRY_STATUS(admit(kind));
  std::uint64_t length = 0;
  for (const auto& part : parts) length += part.iov_len;
  const bool no_flush = options_.durability == Durability::none || options_.read_only;
  if (length == 0 && (kind == IoKind::read || kind == IoKind::write || no_flush)) {
    co_return Status{};
  }

  auto operation = std::make_unique<IoOperation>();
  operation->kind = kind;
  operation->descriptor = descriptor_->get();
  operation->skip_flush = no_flush;
  operation->has_failed = &has_failed_;
  operation->offset = offset;
  operation->parts = std::move(parts);
  if (!engine_) co_return run_here(std::move(operation), offset, length);

  if (in_flight_.fetch_add(1) >= options_.max_in_flight) {
    in_flight_.fetch_sub(1);
    co_return fail(ErrorKind::retry, Limit{"max_in_flight", options_.max_in_flight},
                   path_ + " has " + std::to_string(options_.max_in_flight) +
                       " operations in flight, which is the most "
                       "(max_in_flight); wait for some");
  }
  OneShot<IoResult> ended;
  // The gate is held here too until submit() has returned, for the engine may be done before that.
  std::optional<Gate::Holder> inside(std::move(*entered));
  auto flight = std::make_shared<Flight>(std::move(*entered_again));
  const auto flush = operation->flushes() ? flushes_.begin() : 0;
  operation->done = [this, kind, offset, length, flush, ended, flight](const IoOutcome& outcome) {
    auto status = settle(kind, offset, length, outcome);
    auto deliver = [this, flush, ended, flight, status = std::move(status)]() mutable {
      if (flush != 0 && status && has_failed_.load()) status = failure();
      in_flight_.fetch_sub(1);
      flight->land();
      const BlockDevice* const outer = std::exchange(delivering, this);
      ended.set(IoResult{std::move(status)});
      delivering = outer;
      flight->held.reset();
    };
    if (flush == 0) return deliver();
    flushes_.end(flush, std::move(deliver));
  };
  engine_->submit(std::move(operation));
  const FlightGuard guard(std::move(flight));
  inside.reset();
  auto result = co_await ended.wait_regardless();
  if (!result) co_return fail(result.error().in(std::string(verb(kind)) + " " + path_));
  co_return std::move(result->status);
}

// One flush at a time: the thread that asks does it, and whoever comes meanwhile waits.
Status FileBlockDevice::run_here(std::unique_ptr<IoOperation> operation, std::uint64_t offset,
                                 std::uint64_t length) {
  std::unique_lock<std::mutex> alone;
  if (operation->flushes()) alone = std::unique_lock(inline_flush_);
  const auto outcome = perform(*operation, *calls_);
  return settle(operation->kind, offset, length, outcome);
}

Status FileBlockDevice::failure() const {
  std::lock_guard lock(mutex_);
  return fail(*failed_);
}

Status FileBlockDevice::settle(IoKind kind, std::uint64_t offset, std::uint64_t length,
                               const IoOutcome& outcome) {
  if (outcome.error == 0 && !outcome.hit_the_end) return {};
  auto error = describe(kind, offset, length, outcome);
  if (!outcome.in_flush) return fail(std::move(error));
  if (SEMPER_MUTANT("block_failed_flush_tried_again")) return fail(std::move(error));
  std::lock_guard lock(mutex_);
  if (!failed_) {
    failed_ = Error(ErrorKind::io, error.message() +
                                       "; what was written before this flush may be lost, and the "
                                       "handle takes nothing more: find out why, open " +
                                       path_ + " again, recover");
    has_failed_.store(true);
  }
  return fail(*failed_);
}

Error FileBlockDevice::describe(IoKind kind, std::uint64_t offset, std::uint64_t length,
                                const IoOutcome& outcome) const {
  std::string what = std::string(verb(outcome.in_flush ? IoKind::flush : kind)) + " ";
  if (!outcome.in_flush) {
    what += std::to_string(length) + " bytes at offset " + std::to_string(offset) + " of ";
  }
  what += path_;
  const auto present = size_now(descriptor_->get(), is_block_device_);
  if (is_block_device_ && (!present || *present == 0)) {
    return Error(ErrorKind::io, what +
                                    ": the device is gone (unplugged?); plug it in and open it "
                                    "again");
  }
  if (present && *present < size_) {
    return Error(ErrorKind::io, what + ": it has changed its size from " +
                                    std::to_string(true_size_) + " to " + std::to_string(*present) +
                                    " bytes while it was open; open it again");
  }
  if (outcome.hit_the_end) return Error(ErrorKind::io, what + ": nothing more was moved there");
  switch (outcome.error) {
    case ENODEV:
    case ENXIO:
    case ENOMEDIUM:
      return Error(ErrorKind::io, what +
                                      ": the device is gone (unplugged?); plug it in and open it "
                                      "again");
    case EFBIG:
      return Error(
          ErrorKind::exhausted,
          what + ": files of this process may not be so large; raise its limit (ulimit -f)");
    case ENOSPC:
    case EDQUOT:
      return Error(ErrorKind::exhausted,
                   what +
                       ": no room is left below it; make room (the file was not written in "
                       "full when it was made)");
    default:
      return Error(ErrorKind::io, what + ": " + std::strerror(outcome.error) + " (errno " +
                                      std::to_string(outcome.error) +
                                      "); see the kernel's log about the device");
  }
}

}  // namespace

Result<std::unique_ptr<BlockDevice>> open_block_device_with(const std::string& path,
                                                            FileDeviceOptions options,
                                                            const IoCalls& calls) {
  SEMPER_TRY(auto probed, probe_device(path, options));
  const struct stat status = probed.status;
  auto device = std::make_unique<FileBlockDevice>(path, options, std::move(probed));
  SEMPER_TRY_STATUS(device->start(status, calls));
  return device;
}

}  // namespace semper::internal

namespace semper {

Result<std::unique_ptr<BlockDevice>> open_block_device(const std::string& path,
                                                       FileDeviceOptions options) {
  return internal::open_block_device_with(path, options, internal::system_io_calls());
}

}  // namespace semper
