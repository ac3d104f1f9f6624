// VersionMap: which revision of etcd each version of the store is.
//
// Every commit puts its version into the stamp key, so a version and the revision that its request
// was applied at belong together, and nothing else of the store has that revision or one in
// between. A snapshot and a commit tell both; a later transaction that begins at such a version
// asks for the revision, against which etcd can compare.
//
// The transactions of one request share a revision. One that begins at the version of such a
// transaction, not the last of its request, sees as unchanged only what that transaction itself
// read or wrote (requests hold only transactions that have nothing in common); for everything else
// it must assume that a later one of the same request wrote it.
//
// A version that is not known (any more) is taken for the last known one before it, which is safe:
// it may only see more conflicts than there are.
//
// Threads: any.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "backends/etcd/messages.h"
#include "backends/etcd/range_set.h"
#include "semper/store/backend.h"

namespace semper::etcd {

// Versions that are kept; of the older half every second one is then forgotten.
inline constexpr std::size_t kVersionsMaximum = 32'768;
// Of these newest ones, also what their transaction read and wrote.
inline constexpr std::size_t kFootprintsMaximum = 2'048;
// Of one transaction; one that touched more counts as if it had touched nothing.
inline constexpr std::size_t kFootprintRangesMaximum = 64;

struct KnownVersion {
  Version version = 0;
  Revision revision = 0;
  // Where not null: unchanged are these ranges, and what was not written since `revision` - 1.
  std::shared_ptr<const RangeSet> footprint;

  // What is unwritten after this revision is unchanged since the version.
  Revision bound(const KeyRange& range) const {
    return !footprint || footprint->covers(range) ? revision : revision - 1;
  }
};

class VersionMap {
 public:
  void add(KnownVersion known);

  // Nothing: older than everything that is known.
  std::optional<KnownVersion> at_or_before(Version version) const;

  std::size_t size() const;

 private:
  static void drop_footprint(KnownVersion& known);
  void thin_out();

  mutable std::mutex mutex_;
  std::deque<KnownVersion> known_;  // ascending
};

}  // namespace semper::etcd
