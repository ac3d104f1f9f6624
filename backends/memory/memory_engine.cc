#include "backends/memory/memory_engine.h"

#include <algorithm>
#include <chrono>

#include "semper/base/internal/mutant.h"

namespace semper::memory {

MemoryEngine::PinPlace MemoryEngine::pin(const Clock& clock, Duration lifetime) {
  const MonotonicTime deadline = clock.after(lifetime);
  std::lock_guard lock(mutex_);
  const Version back = SEMPER_MUTANT("memory_reads_go_back_in_time") && map_.version() > 0 ? 1 : 0;
  return pins_.insert(pins_.end(), Pin{map_.version() - back, &clock, deadline, lifetime});
}

void MemoryEngine::unpin(PinPlace pin) {
  std::lock_guard lock(mutex_);
  (pin->revoked ? revoked_ : pins_).erase(pin);
}

Status MemoryEngine::check_alive(const Pin& pin) const {
  if (!pin.revoked && pin.clock->now() <= pin.deadline) return {};
  return fail(ErrorKind::timeout,
              "the snapshot is older than the store's limit transaction_duration = " +
                  std::to_string(
                      std::chrono::duration_cast<std::chrono::milliseconds>(pin.lifetime).count()) +
                  " ms; begin the transaction anew");
}

Result<std::optional<Bytes>> MemoryEngine::get(const Pin& pin, BytesView key) const {
  std::lock_guard lock(mutex_);
  SEMPER_TRY_STATUS(check_alive(pin));
  return map_.get(key, pin.version);
}

Result<RangePage> MemoryEngine::get_range(const Pin& pin, const PageRequest& request) const {
  std::lock_guard lock(mutex_);
  SEMPER_TRY_STATUS(check_alive(pin));
  return map_.get_range(request, pin.version);
}

Version MemoryEngine::horizon() {
  while (!pins_.empty() && pins_.front().clock->now() > pins_.front().deadline) {
    pins_.front().revoked = true;
    revoked_.splice(revoked_.end(), pins_, pins_.begin());
  }
  return pins_.empty() ? map_.version() : pins_.front().version;
}

Result<CommitReceipt> MemoryEngine::commit(const CommitRequest& request) {
  std::vector<OneShot<WatchEnd>> fired;
  CommitReceipt receipt;
  {
    std::lock_guard lock(mutex_);
    for (const auto& read : request.reads) {
      if (SEMPER_MUTANT("memory_conflicts_unchecked")) break;
      if (!map_.changed_since(read, request.read_version)) continue;
      ++conflicts_;
      return fail(ErrorKind::conflict, "what was read in [" + to_printable(read.range.begin, 64) +
                                           ", " + to_printable(read.range.end, 64) +
                                           ") has changed; run the transaction again");
    }
    std::vector<Bytes> changed;
    receipt.version = map_.apply(request, changed);
    ++commits_;
    map_.collect(horizon());
    fired = take_watches(changed);
  }
  for (auto& watch : fired) watch.set(WatchEnd::changed);
  return receipt;
}

Version MemoryEngine::version() const {
  std::lock_guard lock(mutex_);
  return map_.version();
}

bool MemoryEngine::is_unchanged(BytesView key, Version since) const {
  const ReadRecord read{KeyRange::point(key), ReadRecord::kRowsUnknown};
  std::lock_guard lock(mutex_);
  return !map_.changed_since(read, since);
}

void MemoryEngine::raise_version(Version floor) {
  std::lock_guard lock(mutex_);
  map_.raise_version(floor);
}

std::vector<OneShot<WatchEnd>> MemoryEngine::take_watches(const std::vector<Bytes>& keys) {
  std::vector<OneShot<WatchEnd>> taken;
  if (watches_.empty()) return taken;
  for (const auto& key : keys) {
    const auto [first, last] = watches_.equal_range(key);
    for (auto watch = first; watch != last; ++watch) {
      taken.push_back(watch->second.end);
      watch_places_.erase(watch->second.number);
      if (SEMPER_MUTANT("memory_one_watch_of_a_key_fires")) return taken;
    }
    watches_.erase(first, last);
  }
  return taken;
}

Result<MemoryEngine::Watching> MemoryEngine::watch(const Pin& pin, BytesView key,
                                                   const void* owner) {
  std::lock_guard lock(mutex_);
  SEMPER_TRY_STATUS(check_alive(pin));
  Watching watching{++last_watch_, owner, {}};
  // A removal that is forgotten was older than every snapshot that is still alive.
  if (map_.last_change(key) > pin.version && !SEMPER_MUTANT("memory_watch_misses_the_past")) {
    watching.end.set(WatchEnd::changed);
    return watching;
  }
  if (watches_.size() >= kWatchesMaximum) {
    return fail(ErrorKind::exhausted, Limit{"kWatchesMaximum", kWatchesMaximum},
                "the store has all of its " + std::to_string(kWatchesMaximum) +
                    " watches in use; give some up");
  }
  watch_places_.emplace(watching.number, watches_.emplace(Bytes(key), watching));
  return watching;
}

void MemoryEngine::drop_watch(std::uint64_t number) {
  std::lock_guard lock(mutex_);
  const auto place = watch_places_.find(number);
  if (SEMPER_MUTANT("memory_watch_never_removed")) return;
  if (place == watch_places_.end()) return;
  watches_.erase(place->second);
  watch_places_.erase(place);
}

void MemoryEngine::close_watches(const void* owner) {
  std::vector<OneShot<WatchEnd>> fired;
  {
    std::lock_guard lock(mutex_);
    for (auto watch = watches_.begin(); watch != watches_.end();) {
      if (watch->second.owner != owner) {
        ++watch;
        continue;
      }
      fired.push_back(watch->second.end);
      watch_places_.erase(watch->second.number);
      watch = watches_.erase(watch);
    }
  }
  for (auto& watch : fired) watch.set(WatchEnd::closed);
}

Result<std::string> MemoryEngine::check() const {
  std::lock_guard lock(mutex_);
  SEMPER_TRY_STATUS(map_.check());
  return std::to_string(map_.key_count()) + " keys at version " + std::to_string(map_.version()) +
         ": every revision is in order";
}

std::vector<std::pair<std::string, std::int64_t>> MemoryEngine::statistics() const {
  std::lock_guard lock(mutex_);
  return {{"keys", static_cast<std::int64_t>(map_.key_count())},
          {"revisions", static_cast<std::int64_t>(map_.revision_count())},
          {"version", static_cast<std::int64_t>(map_.version())},
          {"commits", commits_},
          {"conflicts", conflicts_},
          {"snapshots", static_cast<std::int64_t>(pins_.size())},
          {"watches", static_cast<std::int64_t>(watches_.size())}};
}

}  // namespace semper::memory
