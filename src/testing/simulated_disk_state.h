// The state that the handles of a SimulatedDisk share: what is durable, what readers see, and what
// lies between. Every function expects the mutex to be held.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "semper/block/block_device.h"
#include "semper/block/local_companion.h"
#include "semper/env/env.h"
#include "semper/env/one_shot.h"
#include "semper/testing/disk_faults.h"

namespace semper::testing {

class SimulatedDiskState {
 public:
  using Content = std::shared_ptr<const Bytes>;
  using Sectors = std::unordered_map<std::uint64_t, Content>;

  struct Unsynced {
    SectorWrite write;
    bool completed = false;
    // A flush failed on it: whether it stays is settled, but nobody knows how.
    bool given_up = false;
  };
  struct Interval {
    Sectors durable;  // at its beginning
    std::vector<SectorWrite> unsynced;
  };

  // The random numbers of a disk stay as they are, however many images of it are made: they share
  // its seed.
  SimulatedDiskState(SimulatedDiskOptions chosen, Env given, std::uint64_t seed_of_garbage);

  Content sector(const Sectors& sectors, std::uint64_t number) const;
  void apply(std::uint64_t number, Content content, std::uint64_t write);
  void read(std::uint64_t offset, std::span<std::byte> out) const;
  // Returns the number of the write.
  std::uint64_t start_write(std::uint64_t offset, const WriteParts& parts, double kept_chance,
                            bool misdirect);
  void complete_write(std::uint64_t number);

  // What a flush that is called now will make durable.
  std::vector<std::uint64_t> completed_writes() const;
  void sync(const std::vector<std::uint64_t>& writes);
  void give_up_unsynced();

  std::vector<SectorWrite> unsynced_now() const;
  void crash(const std::vector<SectorFate>& fates);
  std::vector<SectorFate> draw_fates();
  // Applied to an image: this one's or a copy.
  void settle(Sectors& image, const std::vector<SectorWrite>& writes,
              const std::vector<SectorFate>& fates) const;
  void rot_somewhere();
  void flip(std::uint64_t number, std::uint64_t bit);
  void note(const char* fault) { ++happened[fault]; }
  bool by_chance(double probability, const char* fault);

  mutable std::mutex mutex;
  SimulatedDiskOptions options;
  const Env env;
  std::uint64_t size;
  const std::uint64_t garbage_seed;
  std::shared_ptr<LocalCompanion::Shared> companion = std::make_shared<LocalCompanion::Shared>();

  // Handles of an earlier number are dead.
  std::uint64_t power_cycles = 0;
  bool unplugged = false;

  Sectors durable;
  Sectors visible;
  std::vector<Unsynced> unsynced;
  std::vector<Interval> history;
  Sectors interval_began;
  std::size_t intervals = 0;

  std::uint64_t reads = 0;
  std::uint64_t writes = 0;
  std::uint64_t flushes = 0;
  std::uint64_t failed_flushes = 0;
  std::map<std::uint64_t, ReadFault> read_faults;
  std::map<std::uint64_t, WriteFault> write_faults;
  std::map<std::uint64_t, FlushFault> flush_faults;
  std::vector<OneShot<std::monostate>> stuck;
  std::map<std::string, std::uint64_t> happened;
};

}  // namespace semper::testing
