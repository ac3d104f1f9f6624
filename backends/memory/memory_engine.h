// MemoryEngine: one store in memory, shared by the handles (MemoryBackend) that are open on it.
//
// Threads: any; one mutex guards everything. Watches are fired after it was released.
#pragma once

#include <list>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backends/memory/memory_neighbours.h"
#include "backends/memory/versioned_map.h"
#include "semper/env/one_shot.h"
#include "semper/store/backend.h"

namespace semper::memory {

// Watches of one store at once, all handles together.
inline constexpr std::size_t kWatchesMaximum = 65'536;

enum class WatchEnd : std::uint8_t { changed, closed };

class MemoryEngine {
 public:
  // What an open snapshot holds on to.
  struct Pin {
    Version version;
    const Clock* clock;
    MonotonicTime deadline;  // after it the snapshot is revoked
    Duration lifetime;
    bool revoked = false;
  };
  using PinPlace = std::list<Pin>::iterator;

  PinPlace pin(const Clock& clock, Duration lifetime);
  void unpin(PinPlace pin);

  // Error: timeout (the snapshot is past its lifetime).
  Result<std::optional<Bytes>> get(const Pin& pin, BytesView key) const;
  Result<RangePage> get_range(const Pin& pin, const PageRequest& request) const;

  // Error: conflict.
  Result<CommitReceipt> commit(const CommitRequest& request);

  void raise_version(Version floor);

  Version version() const;
  // Nothing has written the key, or declared that it did, after this version.
  bool is_unchanged(BytesView key, Version since) const;

  // A watch that stays until it fires or is dropped. Errors: timeout (as get), exhausted.
  struct Watching {
    std::uint64_t number;
    const void* owner;
    OneShot<WatchEnd> end;
  };
  Result<Watching> watch(const Pin& pin, BytesView key, const void* owner);
  void drop_watch(std::uint64_t number);
  // Fires all watches of this owner with `closed`.
  void close_watches(const void* owner);

  Result<std::string> check() const;
  std::vector<std::pair<std::string, std::int64_t>> statistics() const;

  MemoryNeighbours& neighbours() const { return *neighbours_; }

 private:
  using Watches = std::multimap<Bytes, Watching, std::less<>>;

  Status check_alive(const Pin& pin) const;
  // The oldest version that an open snapshot may still read; revokes those past their lifetime.
  Version horizon();
  std::vector<OneShot<WatchEnd>> take_watches(const std::vector<Bytes>& keys);

  const std::shared_ptr<MemoryNeighbours> neighbours_ = std::make_shared<MemoryNeighbours>();
  mutable std::mutex mutex_;
  VersionedMap map_;
  std::list<Pin> pins_;  // oldest first
  std::list<Pin> revoked_;
  Watches watches_;
  std::unordered_map<std::uint64_t, Watches::iterator> watch_places_;
  std::uint64_t last_watch_ = 0;
  std::int64_t commits_ = 0;
  std::int64_t conflicts_ = 0;
};

}  // namespace semper::memory
