#include "testing/simulated_disk_state.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "semper/base/assert.h"

namespace semper::testing {

SimulatedDiskState::SimulatedDiskState(SimulatedDiskOptions chosen, Env given,
                                       std::uint64_t seed_of_garbage)
    : options(chosen), env(given), size(chosen.size), garbage_seed(seed_of_garbage) {
  SEMPER_ASSERT(std::has_single_bit(options.sector_size) && options.sector_size >= 512 &&
                    options.sector_size <= 4096,
                "a sector size is a power of two from 512 to 4096");
  SEMPER_ASSERT(size % options.sector_size == 0, "a disk is made of whole sectors");
}

SimulatedDiskState::Content SimulatedDiskState::sector(const Sectors& sectors,
                                                       std::uint64_t number) const {
  const auto found = sectors.find(number);
  if (found != sectors.end()) return found->second;
  return std::make_shared<const Bytes>(options.sector_size, '\0');
}

void SimulatedDiskState::apply(std::uint64_t number, Content content, std::uint64_t write) {
  visible[number] = content;
  unsynced.push_back({.write = {.sector = number, .write = write, .content = std::move(content)}});
}

void SimulatedDiskState::read(std::uint64_t offset, std::span<std::byte> out) const {
  const std::size_t unit = options.sector_size;
  while (!out.empty()) {
    const std::size_t inside = offset % unit;
    const std::size_t length = std::min(out.size(), unit - inside);
    const auto found = visible.find(offset / unit);
    if (found == visible.end()) {
      std::memset(out.data(), 0, length);
    } else {
      std::memcpy(out.data(), found->second->data() + inside, length);
    }
    out = out.subspan(length);
    offset += length;
  }
}

std::uint64_t SimulatedDiskState::start_write(std::uint64_t offset, const WriteParts& parts,
                                              double kept_chance, bool misdirect) {
  const std::size_t unit = options.sector_size;
  const std::uint64_t number = ++writes;
  std::size_t sectors = 0;
  for (const auto& part : parts) sectors += part.size() / unit;
  const std::uint64_t astray =
      misdirect && sectors > 0 ? env.random->below(sectors) : ~std::uint64_t{0};
  std::uint64_t index = 0;
  for (const auto& part : parts) {
    for (std::size_t at = 0; at < part.size(); at += unit, offset += unit, ++index) {
      if (kept_chance < 1 && !env.random->chance(kept_chance)) continue;
      auto target = offset / unit;
      if (index == astray && size > unit) {
        target = (target + 1 + env.random->below(size / unit - 1)) % (size / unit);
      }
      apply(target,
            std::make_shared<const Bytes>(reinterpret_cast<const char*>(part.data()) + at, unit),
            number);
    }
  }
  return number;
}

void SimulatedDiskState::complete_write(std::uint64_t number) {
  for (auto& one : unsynced) {
    if (one.write.write == number) one.completed = true;
  }
}

std::vector<std::uint64_t> SimulatedDiskState::completed_writes() const {
  std::vector<std::uint64_t> numbers;
  for (const auto& one : unsynced) {
    if (one.completed && (numbers.empty() || numbers.back() != one.write.write)) {
      numbers.push_back(one.write.write);
    }
  }
  return numbers;
}

void SimulatedDiskState::sync(const std::vector<std::uint64_t>& numbers) {
  const std::set<std::uint64_t> synced(numbers.begin(), numbers.end());
  if (options.keep_history) {
    history.push_back({std::move(interval_began), unsynced_now()});
  }
  std::set<std::uint64_t> settled;
  std::erase_if(unsynced, [&](const Unsynced& one) {
    if (one.given_up || !synced.contains(one.write.write)) return false;
    durable[one.write.sector] = one.write.content;
    settled.insert(one.write.sector);
    return true;
  });
  // What an earlier flush failed on cannot come back over what is durable now.
  std::erase_if(unsynced, [&](const Unsynced& one) {
    return one.given_up && settled.contains(one.write.sector);
  });
  if (options.keep_history) interval_began = durable;
  ++intervals;
}

void SimulatedDiskState::give_up_unsynced() {
  ++failed_flushes;
  for (auto& one : unsynced) one.given_up = true;
}

std::vector<SectorWrite> SimulatedDiskState::unsynced_now() const {
  std::vector<SectorWrite> list;
  for (const auto& one : unsynced) list.push_back(one.write);
  return list;
}

void SimulatedDiskState::settle(Sectors& image, const std::vector<SectorWrite>& list,
                                const std::vector<SectorFate>& fates) const {
  for (std::size_t i = 0; i < list.size() && i < fates.size(); ++i) {
    if (fates[i] == SectorFate::dropped) continue;
    if (fates[i] == SectorFate::kept) {
      image[list[i].sector] = list[i].content;
      continue;
    }
    // The same garbage each time, so that an image can be made again.
    SeededRandom garbage(garbage_seed ^ (list[i].write << 32) ^ list[i].sector);
    image[list[i].sector] = std::make_shared<const Bytes>(garbage.bytes(options.sector_size));
  }
}

std::vector<SectorFate> SimulatedDiskState::draw_fates() {
  std::vector<SectorFate> fates(unsynced.size(), SectorFate::kept);
  for (auto& fate : fates) {
    const double drawn = env.random->unit();
    if (drawn < options.faults.dropped_at_crash) {
      fate = SectorFate::dropped;
      note("dropped_at_crash");
    } else if (drawn < options.faults.dropped_at_crash + options.faults.garbage_at_crash) {
      fate = SectorFate::garbage;
      note("garbage_at_crash");
    }
  }
  return fates;
}

void SimulatedDiskState::crash(const std::vector<SectorFate>& fates) {
  const auto list = unsynced_now();
  if (options.keep_history) {
    history.push_back({std::move(interval_began), list});
  }
  settle(durable, list, fates);
  unsynced.clear();
  visible = durable;
  if (options.keep_history) interval_began = durable;
  ++intervals;
  ++power_cycles;
  companion = std::make_shared<LocalCompanion::Shared>();
}

void SimulatedDiskState::flip(std::uint64_t number, std::uint64_t bit) {
  const auto flipped = [&](Sectors& sectors) {
    Bytes bytes = *sector(sectors, number);
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    sectors[number] = std::make_shared<const Bytes>(std::move(bytes));
  };
  flipped(durable);
  flipped(visible);
  note("bit_rot");
}

void SimulatedDiskState::rot_somewhere() {
  if (durable.empty()) return;
  // In the order of their numbers: the order of a hash table is not the same everywhere.
  std::vector<std::uint64_t> numbers;
  for (const auto& [number, content] : durable) numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  flip(numbers[env.random->below(numbers.size())],
       env.random->below(std::uint64_t{8} * options.sector_size));
}

bool SimulatedDiskState::by_chance(double probability, const char* fault) {
  if (probability <= 0 || !env.random->chance(probability)) return false;
  note(fault);
  return true;
}

}  // namespace semper::testing
