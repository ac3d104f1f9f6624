// VersionedMap: ordered keys with the history that open snapshots and conflict checks still need.
//
// Each key has a list of revisions, oldest first; a removal is a revision without a value. What no
// snapshot can see any more is collected, except the newest kRemovalsKept removals and
// kWriteConflictsKept explicit write conflicts, which conflict checks of older versions look for.
// A check from before the oldest kept one counts rows where the reader said how many there were,
// and otherwise answers "changed", which is safe.
//
// Not synchronised: the owner locks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "semper/store/backend.h"

namespace semper::memory {

inline constexpr std::size_t kRemovalsKept = 65'536;
inline constexpr std::size_t kWriteConflictsKept = 65'536;
// Bytes of keys and values in one page of a range, so that one read holds the lock for a bounded
// time.
inline constexpr std::size_t kPageBytesMaximum = 1u << 20;

class VersionedMap {
 public:
  // The version of the newest commit; 0 before the first.
  Version version() const { return version_; }

  std::optional<Bytes> get(BytesView key, Version at) const;
  RangePage get_range(const PageRequest& request, Version at) const;

  // The version that the key was last written or removed at; 0 where there is no trace of it.
  Version last_change(BytesView key) const;

  // True where a commit after `read_version` wrote or removed something in the range, or declared
  // that it did.
  bool changed_since(const ReadRecord& read, Version read_version) const;

  // Applies everything as one commit of a new version, and adds the keys that it wrote or removed
  // to `changed`.
  Version apply(const CommitRequest& request, std::vector<Bytes>& changed);

  // The next commit has a later version than this one.
  void raise_version(Version floor) { version_ = std::max(version_, floor); }

  // Forgets what is needed by snapshots older than `horizon` only.
  void collect(Version horizon);

  std::size_t key_count() const { return live_keys_; }
  std::size_t revision_count() const { return revisions_; }

  // The first broken invariant, as `corrupt`.
  Status check() const;

 private:
  struct Revision {
    Version version;
    std::optional<Bytes> value;
  };
  using Revisions = std::vector<Revision>;
  using Rows = std::map<Bytes, Revisions, std::less<>>;
  struct Change {
    Version version;
    Bytes key;
  };
  struct WriteConflict {
    Version version;
    KeyRange range;
  };

  static const Revision* seen_at(const Revisions& revisions, Version at);
  std::optional<Bytes> newest(BytesView key) const;
  void write(BytesView key, std::optional<Bytes> value, std::vector<Bytes>& changed);
  void clear_range(const KeyRange& range, std::vector<Bytes>& changed);
  void apply(const Mutation& mutation, std::vector<Bytes>& changed);
  void collect_superseded(Version horizon);
  void collect_removals(Version horizon);

  Version version_ = 0;
  Rows rows_;
  std::size_t live_keys_ = 0;
  std::size_t revisions_ = 0;
  std::deque<Change> superseded_;  // keys that got a newer revision, by its version
  std::deque<Change> removals_;
  Version removal_floor_ = 0;  // removals up to here may be forgotten
  std::deque<WriteConflict> write_conflicts_;
  Version write_conflict_floor_ = 0;
};

}  // namespace semper::memory
