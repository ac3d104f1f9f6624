// BlockDevice: a disk, or a file used as one: sectors that are read, written and flushed.
//
// What for: code that owns its on-disk format (the ring, the journal). When not: files that grow,
// and anything that a store (semper::store) can keep for you.
//
//   AlignedBuffer page(4096);
//   SEMPER_CO_TRY_STATUS(co_await device.write(0, page.span()));
//   SEMPER_CO_TRY_STATUS(co_await device.flush());               // now it survives a power loss
//
// Shapes: offsets and lengths are in bytes, multiples of sector_size(), inside size(); memory is
// aligned to sector_size() (AlignedBuffer). Anything else is the caller's bug and is asserted.
// Ownership: memory given to an operation must stay valid until it completes; so must the device.
// Cancellation: an operation ends before its memory does. If the waiting coroutine is cancelled,
// the operation continues to its end and reports its result. If the coroutine is destroyed (because
// its io_context was), the destructor waits until the device has released the memory. Threads: any
// number of concurrent operations, from any thread; each completes on its caller's executor.
// Concurrent operations have no order among each other.
//
// What is on the disk:
//   write succeeded    other readers of the device see it; a power loss may still undo it, tear it
//                      at a sector's edge, or keep it, independently of the order of writes
//   flush succeeded    every write that completed before the flush was called is durable
//   error, no return   each sector of the write may hold the old or the new bytes (or, in a power
//                      loss on bad hardware, neither)
//
// Errors, and the caller's next move:
//   io          the device failed. After a failed flush the handle refuses everything with the same
//               message: earlier writes may be lost, and a second flush would hide that. Close,
//               find out why, open again, recover.
//   exhausted   no space left below the device (a sparse file on a full disk): make room; the
//               handle stays usable, and the sectors of this write hold old or new bytes
//   permission  the device was opened read-only
//   closed      close() was called
// Source of the idea: FoundationDB's IAsyncFile; on failed flushes: Rebello and others,
// "Can Applications Recover from fsync Failures?", USENIX ATC 2020.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/env/asio.h"
#include "semper/env/clock.h"

namespace semper {

// Zeroed memory that a device can read into and write from.
class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 4096;

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size);

  std::byte* data() noexcept { return data_.get(); }
  const std::byte* data() const noexcept { return data_.get(); }
  std::size_t size() const noexcept { return size_; }
  std::span<std::byte> span() noexcept { return {data_.get(), size_}; }
  std::span<const std::byte> span() const noexcept { return {data_.get(), size_}; }
  BytesView view() const noexcept { return {reinterpret_cast<const char*>(data_.get()), size_}; }

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
};

// What processes on one machine that have the same device open share in addition to its sectors:
// exclusive roles, and words of memory whose changes can be waited for. Nothing here survives the
// last process that has the device open, or a power loss; the first process that opens it finds
// zeros.
class DeviceCompanion {
 public:
  static constexpr std::size_t kWords = 64;
  static constexpr std::size_t kRoles = 64;

  // Held until it is destroyed or its process dies, however it dies.
  class Role {
   public:
    virtual ~Role() = default;
  };

  virtual ~DeviceCompanion() = default;

  // Takes the role for this handle alone; `conflict` if another handle holds it, even one of this
  // process.
  virtual Result<std::unique_ptr<Role>> take(std::size_t role) = 0;

  // A descriptor to which this handle's roles are bound: a child process that has it open also
  // holds them until it ends, even if this process dies first (for a program that the holder of a
  // role runs as part of its work). -1: there is none.
  virtual int role_descriptor() const noexcept { return -1; }

  // Shared memory; any thread, any process.
  virtual std::atomic<std::uint64_t>& word(std::size_t index) noexcept = 0;

  // Wakes all waiters of the word; call it after changing the word.
  virtual void notify(std::size_t index) noexcept = 0;

  // Returns when the word is no longer `seen` (at once if it already differs); `timeout` at the
  // deadline, `closed` when this handle is closed. A change between the load and the wait is never
  // missed.
  virtual Async<void> wait(std::size_t index, std::uint64_t seen, Clock& clock,
                           MonotonicTime deadline) = 0;
};

// Pieces of memory, in order; a single piece counts as a list of one. g++ 12 cannot keep a braced
// list across a co_await: if there are several pieces, fill a variable first.
class ReadParts : public std::vector<std::span<std::byte>> {
 public:
  using vector::vector;
  ReadParts(std::span<std::byte> part) : vector(1, part) {}
};
class WriteParts : public std::vector<std::span<const std::byte>> {
 public:
  using vector::vector;
  WriteParts(std::span<const std::byte> part) : vector(1, part) {}
  WriteParts(std::span<std::byte> part) : vector(1, part) {}
};

class BlockDevice {
 public:
  BlockDevice() = default;
  BlockDevice(const BlockDevice&) = delete;
  BlockDevice& operator=(const BlockDevice&) = delete;
  virtual ~BlockDevice() = default;

  // Its name in messages: the path, or "memory".
  virtual std::string_view name() const noexcept = 0;

  // Bytes; a multiple of sector_size().
  virtual std::uint64_t size() const noexcept = 0;

  // The unit of reading, writing and tearing: a power of two from 512 to 4096.
  virtual std::uint32_t sector_size() const noexcept = 0;

  virtual bool is_read_only() const noexcept = 0;

  // How it does its work, for logs: "io_uring, O_DIRECT".
  virtual std::string description() const = 0;

  // Fills the parts, in order, from the bytes at `offset`.
  virtual Async<void> read(std::uint64_t offset, ReadParts parts) = 0;

  // Writes the parts, in order, to the bytes at `offset`.
  virtual Async<void> write(std::uint64_t offset, WriteParts parts) = 0;

  virtual Async<void> flush() = 0;

  // Writes and, if that succeeds, flushes; in one trip to the device if possible.
  virtual Async<void> write_and_flush(std::uint64_t offset, WriteParts parts);

  // Checks whether the device is still the one with its name; code that only waits, without
  // writing, should call it from time to time. Error io: the file was deleted, replaced or
  // truncated, or the device is gone; changes by others are then not seen here. Two or three system
  // calls; always succeeds if the device has no name.
  virtual Status check_place() { return {}; }

  // Null if only sectors are shared (another machine may have the device open); a side that waits
  // for the other must then poll. Lives as long as the device.
  virtual DeviceCompanion* companion() noexcept { return nullptr; }

  // Waits for operations in flight, then frees the device; later use gives `closed`. Does not
  // flush. Idempotent. The destructor closes too, and blocks while anything is in flight.
  virtual Async<void> close() = 0;

 protected:
  // For implementations: asserts that the offset and the parts fit the device, as said above.
  void assert_access(std::uint64_t offset, const ReadParts& parts) const;
  void assert_access(std::uint64_t offset, const WriteParts& parts) const;
};

}  // namespace semper
