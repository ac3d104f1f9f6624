// SimulatedDisk: a disk that simulates power loss and other faults, from a seed.
//
// What for: crash tests of code that owns its on-disk format. When not: speed, and data that must
// be kept (memory_block_device.h, file_block_device.h).
//
//   SimulatedDisk disk({.size = 1 << 20}, Env{&clock, &random});
//   auto device = disk.open();
//   ... writes and flushes ...
//   disk.power_cycle();                    // draws a fate for each sector that was not flushed
//   auto again = disk.open();              // and recovery runs on what is left
//
//   for (std::uint64_t kept = 0; kept < disk.crash_count(); ++kept)     // or all of them
//     recover(*disk.crash_image(kept).open());
//
// What it does to writes and flushes: disk_faults.h.
//
// The same seed and calls give the same faults. Threads: any. The Env must outlive the disk and its
// handles. Sources of the ideas: FoundationDB's AsyncFileNonDurable, TigerBeetle's testing/storage.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "semper/block/block_device.h"
#include "semper/env/env.h"
#include "semper/testing/disk_faults.h"

namespace semper::testing {

class SimulatedDiskState;

struct SimulatedHandleOptions {
  bool read_only = false;
  std::string name = "simulated disk";
};

// Copies are the same disk; handles keep it alive.
class SimulatedDisk {
 public:
  SimulatedDisk(SimulatedDiskOptions options, Env env);

  // Errors: not_found (unplugged).
  Result<std::unique_ptr<BlockDevice>> try_open(SimulatedHandleOptions options = {}) const;
  // The same if it cannot fail (asserted).
  std::unique_ptr<BlockDevice> open(SimulatedHandleOptions options = {}) const;

  // The random faults from now on.
  void set_faults(DiskFaults faults);
  void calm() { set_faults({}); }

  // The fault of the nth such operation from now; 1 is the next one.
  void fail_read(std::uint64_t nth, ReadFault fault);
  void fail_write(std::uint64_t nth, WriteFault fault);
  void fail_flush(std::uint64_t nth, FlushFault fault);

  // Lets stuck operations continue.
  void release();

  void flip_bit(std::uint64_t sector, std::uint64_t bit);
  void unplug();
  // After unplug(): a power_cycle().
  void plug_in();
  void resize(std::uint64_t size);

  // Crashes. An interval is the time between two flushes: the first has number 0; the last, which
  // no flush has ended yet, is interval(). Earlier ones are available only with keep_history.
  std::size_t interval() const;
  std::vector<SectorWrite> unsynced() const { return unsynced(interval()); }
  std::vector<SectorWrite> unsynced(std::size_t interval) const;

  // The number of subsets of unsynced sectors; all ones if 64 bits cannot hold it.
  std::uint64_t crash_count() const { return crash_count(interval()); }
  std::uint64_t crash_count(std::size_t interval) const;

  // A new disk without faults, as after a power loss that keeps the sector writes whose bit in
  // `kept` is set (bit 0: unsynced()[0]; those from the 65th on are dropped), or gives each one the
  // given fate.
  SimulatedDisk crash_image(std::uint64_t kept) const { return crash_image(interval(), kept); }
  SimulatedDisk crash_image(std::size_t interval, std::uint64_t kept) const;
  SimulatedDisk crash_image(std::size_t interval, const std::vector<SectorFate>& fates) const;

  // A power loss on this disk: with random fates according to the faults, or with the given ones.
  void power_cycle();
  void power_cycle(const std::vector<SectorFate>& fates);

  // What a reader would see now, at any alignment, even while the disk is unplugged (precondition:
  // inside the disk, asserted); and a way to write an image, durably.
  Bytes contents(std::uint64_t offset, std::size_t length) const;
  void overwrite(std::uint64_t offset, BytesView bytes);

  std::uint64_t size() const;
  std::uint32_t sector_size() const;
  std::uint64_t reads() const;
  std::uint64_t writes() const;
  std::uint64_t flushes() const;

  // How many faults of each kind have happened: a test that saw none has tested none.
  std::map<std::string, std::uint64_t> happened() const;

 private:
  class Handle;
  explicit SimulatedDisk(std::shared_ptr<SimulatedDiskState> state) : state_(std::move(state)) {}

  std::shared_ptr<SimulatedDiskState> state_;
};

}  // namespace semper::testing
