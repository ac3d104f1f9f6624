// The faults of a SimulatedDisk.
//
// What for: its options, and tests that choose which sectors a power loss keeps. When not:
// everything else. See simulated_disk.h for an example.
//
// The fault model. A write is visible to every reader at once and is split into its sectors; each
// is unsynced until a flush that was called after the write completed has succeeded.
//   power loss   each unsynced sector write by itself, in any order and any subset, is kept,
//                dropped (whole writes are thereby torn at sectors), or leaves garbage in its
//                sector; of several writes to one sector any may be the one that stays. Flushed
//                sectors keep their bytes. What was in flight counts as unsynced. All handles are
//                dead and the companion is as new
//   io, no room  a failed write has written any subset of its sectors
//   flush error  what was unsynced becomes durable or not, sector by sector, and no later flush, of
//                any handle, changes that, while readers see the new bytes (as in a page cache);
//                the handle refuses everything from then on. Each other handle that was open by
//                then fails at its next flush, as Linux tells each open file of a failure once
//   lying flush  succeeds and makes nothing durable. No format survives it; tests use it to see
//                that the loss is detected
//   misdirected  one sector of the write goes to another place, and its own keeps the old bytes
//   bit rot      one bit of a sector that was written flips, for good
//   delay, stuck an operation completes later, or not before release() or a power loss
//   unplugged    every operation of every handle fails with io, open with not_found
//   resized      open handles keep the size that they saw; what lies beyond the end is io
// Not modelled: sectors torn inside, reads that differ each time.
#pragma once

#include <cstdint>
#include <memory>

#include "semper/base/bytes.h"
#include "semper/env/clock.h"

namespace semper::testing {

// Each probability is from 0 to 1 and per operation, by default 0.
struct DiskFaults {
  double read_error = 0;
  double write_error = 0;
  double write_no_room = 0;
  double flush_error = 0;
  double lying_flush = 0;
  double misdirected_write = 0;
  // At a flush: a bit of one sector flips.
  double bit_rot = 0;
  // Any operation takes up to delay_by longer.
  double delay = 0;
  Duration delay_by = std::chrono::milliseconds(5);
  // At a power loss, for each unsynced sector: dropped, garbage, and else kept.
  double dropped_at_crash = 0.5;
  double garbage_at_crash = 0.1;
};

enum class ReadFault : std::uint8_t { io_error, stuck };
enum class WriteFault : std::uint8_t { io_error, no_room, misdirected, stuck };
enum class FlushFault : std::uint8_t { io_error, lies, stuck };
enum class SectorFate : std::uint8_t { dropped, kept, garbage };

// One sector of a write that no flush has made durable.
struct SectorWrite {
  std::uint64_t sector = 0;
  // The number of the write() to which it belongs, counted from 1.
  std::uint64_t write = 0;
  std::shared_ptr<const Bytes> content;
};

struct SimulatedDiskOptions {
  std::uint64_t size = std::uint64_t{1} << 20;
  std::uint32_t sector_size = 4096;
  DiskFaults faults = {};
  // Keeps everything written between any two flushes, so that one run of a workload can be crashed
  // in all of its intervals. Costs memory for each write.
  bool keep_history = false;
};

}  // namespace semper::testing
