// KeyVersions: in the sidecar, the last version that wrote each key, for all processes of a store.
//
// A commit must fail if something it read was changed after its read version. To find that out each
// key that was read would be read again through SQL. Here every committer leaves, before its
// COMMIT, the version that it is making, in the place of each key that it writes.
//
// A place belongs to all keys of one hash, so it may be younger than the key's last change, and it
// keeps what was rolled back or lost. So it only ever says "unchanged"; everything else is asked of
// SQLite. What is not known: changes up to `floor`, and ranges, of which only the last version is
// kept.
//
// Threads and processes: written with the turn to commit held (turn.h), which also orders what a
// committer reads. Whoever reads without it sees what was written up to a version of the sidecar
// that it has seen, and perhaps more.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "semper/store/backend.h"

namespace semper::sqlite {

// 2 MiB. Where ten thousand entities are busy, one is falsely taken for changed by a message to
// another one in thirteen times: with an eighth of the places it was one in two.
inline constexpr std::size_t kKeyVersions = 1u << 18;

struct KeyVersions {
  alignas(64) std::atomic<std::uint64_t> floor;
  std::atomic<std::uint64_t> ranges;
  std::array<std::atomic<std::uint64_t>, kKeyVersions> last;

  // Nothing is known of what was done up to this version: by whoever does not write here.
  void forget(Version up_to) {
    if (up_to > floor.load(std::memory_order_relaxed)) floor.store(up_to);
  }
  void wrote(std::uint64_t hash, Version version) {
    last[place(hash)].store(version, std::memory_order_relaxed);
  }
  void wrote_range(Version version) { ranges.store(version, std::memory_order_relaxed); }

  bool is_unchanged(std::uint64_t hash, Version since) const {
    return since >= floor.load(std::memory_order_relaxed) &&
           since >= ranges.load(std::memory_order_relaxed) &&
           since >= last[place(hash)].load(std::memory_order_relaxed);
  }

 private:
  static std::size_t place(std::uint64_t hash) { return hash & (kKeyVersions - 1); }
};

}  // namespace semper::sqlite
