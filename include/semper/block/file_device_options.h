// How a file or a disk is used as a BlockDevice.
//
// What for: open_block_device(). When not: devices of other kinds; see file_block_device.h, which has an
// example.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace semper {

enum class IoMode : std::uint8_t {
  // io_uring, or threads where it is not allowed.
  automatic,
  io_uring,
  threads,
  // On the thread that calls, which blocks meanwhile: no hand-off, so a durable write costs what
  // the bare system calls cost. The other modes add two wake-ups, 5 to 10 us on an idle machine and
  // up to 50 us where an idle CPU of a virtual machine has to be woken. For programs of one purpose
  // (a producer on a scheduler of its own): everything else on that scheduler waits with it, and
  // nothing is in flight together.
  inline_blocking,
};

enum class DeviceCache : std::uint8_t {
  // O_DIRECT where the file system has it.
  direct_if_possible,
  // O_DIRECT, or `unsupported`.
  direct,
  // The page cache, written back at a flush. The fastest without flushes.
  page_cache,
};

enum class Durability : std::uint8_t {
  // flush() returns when the device has everything.
  flush,
  // flush() does nothing: what was written survives the process, and nothing else.
  none,
};

enum class CompanionUse : std::uint8_t {
  // open_block_device fails where it is not possible; a read-only handle goes without.
  required,
  none,
};

struct FileDeviceOptions {
  bool read_only = false;
  IoMode mode = IoMode::automatic;
  DeviceCache cache = DeviceCache::direct_if_possible;
  Durability durability = Durability::flush;
  CompanionUse companion = CompanionUse::required;
  // 0: what the device says. 512 or 4096 where the format on it was made with that.
  std::uint32_t sector_size = 0;
  // Bytes that the device must hold at least.
  std::uint64_t minimum_size = 4096;
  // With IoMode::threads: operations at the same time. Raise it for disks that like depth.
  std::size_t max_threads = 4;
  // Operations that may wait or run at once; more are refused with `retry`.
  std::size_t max_in_flight = 16'384;
  // How long an idle thread looks for work before it sleeps: shortens a push that follows the last
  // one closely by a wake-up (3 to 5 us), costs that much of a CPU per operation. Zero where CPUs
  // are scarce.
  std::chrono::microseconds spin{20};
};

}  // namespace semper
