// The idempotency marker: how a commit whose outcome was lost is found out.
//
// Each commit on a backend that may lose an outcome also writes a key of its own, fresh and random,
// and conflicts on it. To learn what became of the commit, resolve() reads that key: it is there,
// so the commit took effect; or it is not, and resolve() writes a fence there, which the commit,
// should it still be on its way, conflicts with. Either way the answer is final. If resolve() never
// returns, the commit took effect wholly or not at all.
//
// A marker of a known commit is removed along with a later commit of this process; what a crash
// leaves behind is swept away by any process that saw its version of the store be in the past for
// kMarkerLifetime, by its own monotonic clock: no calendar says how old a marker is. A fence stays
// that long too: an engine that compares only the present state could otherwise let the late commit
// through. A sweep leaves the version that it went up to, so that a process which stood still for
// that long does not take a marker that is gone for a commit that did not take effect.
#pragma once

#include <vector>

#include "semper/store/backend.h"
#include "semper/store/versionstamp.h"

namespace semper::internal {

inline constexpr Duration kMarkerLifetime = std::chrono::hours(24);
// Between two looks at how far the store has come; a process remembers as many as make up a
// lifetime.
inline constexpr Duration kMarkerSightings = std::chrono::hours(1);
inline constexpr int kResolveAttempts = 20;

struct Marker {
  Bytes key;
  // Markers of earlier commits that the request takes away.
  std::vector<Bytes> removed;
};

// Gives the request a marker and takes old ones away.
Marker add_marker(Backend& backend, Env env, CommitRequest& request);

// The commit with this marker is known to have taken effect.
void forget_marker(Backend& backend, Bytes marker);

// The commit that should have taken these away may not have done so.
void keep_for_later(Backend& backend, std::vector<Bytes> markers);

// Errors: conflict (it did not and never will take effect), outcome_unknown (the store did not
// answer).
Async<Versionstamp> resolve_marker(Backend& backend, Env env, Bytes marker);

}  // namespace semper::internal
