#include "version_map.h"

#include <algorithm>
#include <utility>

namespace semper::etcd {
namespace {

bool is_before(Version version, const KnownVersion& known) {
  return version < known.version;
}

}  // namespace

// What has the same revision counts as later from now on.
void VersionMap::drop_footprint(KnownVersion& known) {
  known.footprint.reset();
  --known.revision;
}

void VersionMap::add(KnownVersion known) {
  if (known.footprint && known.footprint->size() > kFootprintRangesMaximum) drop_footprint(known);
  std::lock_guard lock(mutex_);
  const auto place = known_.empty() || known_.back().version < known.version
                         ? known_.end()
                         : std::upper_bound(known_.begin(), known_.end(), known.version, is_before);
  if (place != known_.begin() && std::prev(place)->version == known.version) return;
  known_.insert(place, std::move(known));
  if (known_.size() > kFootprintsMaximum) {
    auto& old = known_[known_.size() - kFootprintsMaximum - 1];
    if (old.footprint) drop_footprint(old);
  }
  if (known_.size() > kVersionsMaximum) thin_out();
}

void VersionMap::thin_out() {
  std::deque<KnownVersion> kept;
  for (std::size_t i = 0; i < known_.size(); ++i) {
    if (i >= known_.size() / 2 || i % 2 == 0) kept.push_back(std::move(known_[i]));
  }
  known_ = std::move(kept);
}

std::optional<KnownVersion> VersionMap::at_or_before(Version version) const {
  std::lock_guard lock(mutex_);
  const auto after = std::upper_bound(known_.begin(), known_.end(), version, is_before);
  if (after == known_.begin()) return std::nullopt;
  return *std::prev(after);
}

std::size_t VersionMap::size() const {
  std::lock_guard lock(mutex_);
  return known_.size();
}

}  // namespace semper::etcd
