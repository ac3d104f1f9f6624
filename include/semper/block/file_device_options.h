// How a file or a disk is used as a BlockDevice.
//
// What for: open_block_device(). When not: other kinds of devices. See file_block_device.h for an
// example.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace semper {

enum class IoMode : std::uint8_t {
  // io_uring, or threads if io_uring is not allowed.
  automatic,
  io_uring,
  threads,
  // On the calling thread, which blocks meanwhile: there is no hand-off, so a durable write costs
  // as much as the bare system calls. The other modes add two wake-ups: 5 to 10 us on an idle
  // machine, and up to 50 us if an idle CPU of a virtual machine must be woken. For single-purpose
  // programs (a producer on its own scheduler): everything else on that scheduler waits too, and
  // operations do not overlap.
  inline_blocking,
};

enum class DeviceCache : std::uint8_t {
  // O_DIRECT if the file system supports it.
  direct_if_possible,
  // O_DIRECT, or `unsupported`.
  direct,
  // The page cache, written back at a flush. The fastest without flushes.
  page_cache,
};

enum class Durability : std::uint8_t {
  // flush() returns when everything is on the device.
  flush,
  // flush() does nothing: written data survives the process, but nothing more.
  none,
};

enum class CompanionUse : std::uint8_t {
  // open_block_device fails if it is not possible; a read-only handle does without it.
  required,
  none,
};

struct FileDeviceOptions {
  bool read_only = false;
  IoMode mode = IoMode::automatic;
  DeviceCache cache = DeviceCache::direct_if_possible;
  Durability durability = Durability::flush;
  CompanionUse companion = CompanionUse::required;
  // 0: the device's own. Use 512 or 4096 if the format on it was created with that.
  std::uint32_t sector_size = 0;
  // The minimum size of the device in bytes.
  std::uint64_t minimum_size = 4096;
  // With IoMode::threads: concurrent operations. Raise it for disks that benefit from deep queues.
  std::size_t max_threads = 4;
  // Operations that may wait or run at the same time; more are refused with `retry`.
  std::size_t max_in_flight = 16'384;
  // How long an idle thread looks for work before it sleeps. This saves a wake-up (3 to 5 us) if a
  // push closely follows the previous one, and costs that much CPU time per operation. Set it to
  // zero if CPUs are scarce.
  std::chrono::microseconds spin{20};
};

}  // namespace semper
