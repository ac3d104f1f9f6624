// BlockDevice: a disk, or a file taken for one: sectors that are read, written and flushed.
//
// What for: whatever owns its on-disk format (the ring, the journal). When not: files that grow, and
// anything that a store (semper::store) keeps for you.
//
//   AlignedBuffer page(4096);
//   SEMPER_CO_TRY_STATUS(co_await device.write(0, page.span()));
//   SEMPER_CO_TRY_STATUS(co_await device.flush());               // now it survives a power loss
//
// Shapes: offsets and lengths are in bytes, multiples of sector_size(), inside size(); memory is
// aligned to sector_size() (AlignedBuffer). Anything else is the caller's bug and is asserted.
// Ownership: memory given to an operation must stay until it completes; so must the device.
// Cancellation: an operation ends before its memory does. Where the waiting coroutine is cancelled it
// goes on to its end, and says what became of it; where the coroutine is destroyed (its io_context
// was), the destructor waits until the device has let go of the memory.
// Threads: any number of operations at once, from any thread; each completes on its caller's
// executor. Operations in flight together are not ordered among each other.
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
//               words: what was written before it may be lost, and a second flush would lie about
//               that. Close, find out why, open again, recover.
//   exhausted   no room left below the device (a sparse file on a full disk): make room; the handle
//               goes on, the sectors of this write hold old or new bytes
//   permission  the device was opened read-only
//   closed      close() was called
// Source of the idea: FoundationDB's IAsyncFile; what is said of failed flushes: Rebello and others,
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

// What processes on one machine that have the same device open share besides its sectors: exclusive
// roles, and words of memory that wake who waits for them. Nothing here survives the last process
// that has the device open, nor a power loss; the first one that opens it finds zeros.
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

  // Takes the role for this handle alone; `conflict` where another handle holds it, also one of
  // this process.
  virtual Result<std::unique_ptr<Role>> take(std::size_t role) = 0;

  // A descriptor that this handle's roles hang on: a child process that has it open holds them too,
  // until it ends, also when this process has died before it (a program that the holder of a role
  // runs, as part of its work). -1: there is none.
  virtual int role_descriptor() const noexcept { return -1; }

  // Shared memory; any thread, any process.
  virtual std::atomic<std::uint64_t>& word(std::size_t index) noexcept = 0;

  // Wakes everybody who waits for the word; call it after changing the word.
  virtual void notify(std::size_t index) noexcept = 0;

  // Returns when the word is no longer `seen` (at once where it is not now); `timeout` at the
  // deadline, `closed` when this handle is closed. A change between the load and the wait is never
  // missed.
  virtual Async<void> wait(std::size_t index, std::uint64_t seen, Clock& clock,
                           MonotonicTime deadline) = 0;
};

// Pieces of memory, in order; a single piece is taken for a list of one. g++ 12 cannot keep a list
// in braces across a co_await: where there are several, fill a variable first.
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

  // What a message calls it: its path, or "memory".
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

  // write, and when it has succeeded flush; one trip to the device where it can.
  virtual Async<void> write_and_flush(std::uint64_t offset, WriteParts parts);

  // Whether the device is still what its name says; who only waits, without writing, asks now and
  // then. Error io: its file was deleted, replaced by another or cut short, or the device is gone;
  // what others do there now is not seen here. Two or three system calls; success where there is no
  // name to look at.
  virtual Status check_place() { return {}; }

  // Null where nothing is shared but sectors (another machine may have the device open); then who
  // waits for the other side has to look again from time to time. Lives as long as the device.
  virtual DeviceCompanion* companion() noexcept { return nullptr; }

  // Waits for what is in flight, then frees the device; later use is `closed`. Does not flush.
  // Idempotent. The destructor closes too, and blocks while something is in flight.
  virtual Async<void> close() = 0;

 protected:
  // For implementations: asserts that the offset and the parts fit the device, as said above.
  void assert_access(std::uint64_t offset, const ReadParts& parts) const;
  void assert_access(std::uint64_t offset, const WriteParts& parts) const;
};

}  // namespace semper
