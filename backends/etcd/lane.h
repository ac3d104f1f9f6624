// Lane: the key of an open handle that says how far its requests have come (outcome.h).
//
// Made before the handle's first request, and anew where it was removed to fence a lost request
// off, or swept. Its name is drawn at random, so it is nobody else's.
#pragma once

#include "backends/etcd/kv.h"
#include "backends/etcd/request.h"
#include "backends/etcd/stamp_clock.h"

namespace semper::etcd {

// A lane that was not used for as long belongs to a process that is gone. By versions, which are
// about microseconds.
inline constexpr Duration kLaneLifetime = std::chrono::hours(24);
inline constexpr std::int64_t kLanesPerSweep = 1'000;
// The stamp at which a lane of this version is swept.
inline constexpr Version swept_at(Version lane) {
  constexpr auto kLifetime = std::chrono::duration_cast<std::chrono::microseconds>(kLaneLifetime);
  return lane + static_cast<Version>(kLifetime.count());
}

// Makes a lane, and reads what every request looks at. Errors: those of Kv::write; then it may be
// there all the same, and is left to a sweep. corrupt (the stamp is gone).
Async<Guards> make_lane(Kv& kv, const Layout& layout, StampClock& clock, std::string name);

// With all that its transactions left there. Where it fails, a sweep does it one day.
Task<void> remove_lane(Kv& kv, Bytes lane);

// Removes the lanes of processes that are gone. Doing so to one that is not is harmless: it makes
// another.
Async<void> sweep_lanes(Kv& kv, const Layout& layout);

}  // namespace semper::etcd
