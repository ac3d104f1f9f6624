// MemoryBlockDevice: a disk in memory, shared by any number of handles.
//
// What for: tests, and rings that need not outlive the process. When not: data that must survive
// the process, and tests of crashes and faults (testing/simulated_disk.h).
//
//   MemoryBlockDevice device({.size = 1 << 20});
//
//   MemoryDisk disk({.size = 1 << 20});         // two handles on one disk
//   auto producer = disk.open();
//   auto consumer = disk.open({.read_only = true});
//
// Memory is allocated page by page when something other than zeros is written, so a disk of 1 TiB
// costs only what was written to it. An operation completes before it returns. Data lasts as long
// as a handle or the MemoryDisk exists, so nothing is durable.
//
// Errors: exhausted (max_memory; part of the write may have taken place), permission, closed.
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "semper/block/block_device.h"
#include "semper/block/local_companion.h"

namespace semper {

struct MemoryDiskOptions {
  // Bytes, a multiple of the sector size.
  std::uint64_t size = std::uint64_t{64} << 20;
  // A power of two from 512 to 4096.
  std::uint32_t sector_size = 4096;
  // The maximum number of bytes in memory; more is refused with `exhausted`.
  std::uint64_t max_memory = std::uint64_t{1} << 30;
};

struct MemoryHandleOptions {
  bool read_only = false;
  std::string name = "memory";
};

// What the handles share; a handle keeps it alive. Copies are the same disk.
class MemoryDisk {
 public:
  explicit MemoryDisk(MemoryDiskOptions options = {});

  // A new handle. It may be used on another thread than the others.
  std::unique_ptr<BlockDevice> open(MemoryHandleOptions options = {}) const;

  // The bytes, without a handle: to fill a disk with an image, or to damage one. Precondition:
  // inside the disk (asserted); any alignment.
  Bytes contents(std::uint64_t offset, std::size_t length) const;
  Status overwrite(std::uint64_t offset, BytesView bytes);

  std::uint64_t size() const noexcept;
  std::uint32_t sector_size() const noexcept;
  std::uint64_t memory_used() const;

 private:
  friend class MemoryBlockDevice;
  class State;
  std::shared_ptr<State> state_;
};

class MemoryBlockDevice final : public BlockDevice {
 public:
  // A disk of its own,
  explicit MemoryBlockDevice(MemoryDiskOptions options = {});
  // ... or a handle on a shared one.
  explicit MemoryBlockDevice(const MemoryDisk& disk, MemoryHandleOptions options = {});
  ~MemoryBlockDevice() override;

  std::string_view name() const noexcept override { return options_.name; }
  std::uint64_t size() const noexcept override;
  std::uint32_t sector_size() const noexcept override;
  bool is_read_only() const noexcept override { return options_.read_only; }
  std::string description() const override;
  Async<void> read(std::uint64_t offset, ReadParts parts) override;
  Async<void> write(std::uint64_t offset, WriteParts parts) override;
  Async<void> flush() override;
  DeviceCompanion* companion() noexcept override { return &companion_; }
  Async<void> close() override;

 private:
  Error closed_error() const;

  const std::shared_ptr<MemoryDisk::State> disk_;
  const MemoryHandleOptions options_;
  LocalCompanion companion_;
  std::atomic<bool> closed_ = false;
};

}  // namespace semper
