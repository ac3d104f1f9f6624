// RecentChanges: an additional interface for backends that can tell without a read whether a key
// has changed lately.
//
// What for: code that remembers what it has read at different versions, and wants to build one
// transaction on all of it (a host, for many of its entities). When not: a single version
// (TransactionOptions::read_version). find_recent_changes() finds a Backend that also implements
// this; on others, read again.
#pragma once

#include <optional>

#include "semper/store/store.h"

namespace semper {

class RecentChanges {
 public:
  virtual ~RecentChanges() = default;

  // The newest version that is_unchanged() knows of; a transaction may begin at it, as at that of a
  // commit. None: nothing is known. Cheap. Any thread.
  virtual std::optional<Version> newest_known() const = 0;

  // True: no commit after `since`, and up to the last version that newest_known() has returned to
  // this thread, has changed the key, or declared that it did. False: one may have. Cheap. Any
  // thread.
  virtual bool is_known_unchanged(BytesView key, Version since) const = 0;
};

inline const RecentChanges* find_recent_changes(const Store& store) {
  return dynamic_cast<const RecentChanges*>(&store.backend());
}

}  // namespace semper
