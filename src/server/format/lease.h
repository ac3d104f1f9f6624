// Leases: when the owner of a row counts as dead, for whoever looks at the row.
//
// The owner renews a counter three times per lease, and its lease lies in the row: nobody is judged
// by a lease that is not its own. The observer measures with its own monotonic clock for how long
// it SAW the counter stand still. Calendars are not compared, and time in which the observer did
// not look (it was stopped, blocked, or cut off from the store) is no evidence against anybody:
// after it, each owner has time again to be seen alive.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "semper/base/bytes.h"
#include "semper/env/clock.h"

namespace semper::internal {

// An owner's renewals per lease; an observer looks as often.
inline constexpr int kRenewalsPerLease = 3;
// Observers do not look more often than this, however short somebody's lease.
inline constexpr Duration kLookIntervalMinimum = std::chrono::milliseconds(20);

inline Duration renewal_interval(Duration lease) {
  return std::max(lease / kRenewalsPerLease, Duration(std::chrono::milliseconds(1)));
}
inline Duration look_interval(Duration lease) {
  return std::max(lease / kRenewalsPerLease, kLookIntervalMinimum);
}
// From one look to the next counts at most so much: a look may be late, a pause counts for nothing.
inline Duration step_maximum(Duration interval) {
  return interval + interval / 2;
}

// In rows: milliseconds, rounded up; 0 stands for none.
std::uint64_t lease_in_row(Duration lease);
std::optional<Duration> lease_from_row(std::uint64_t milliseconds);

// (1, type, id, 4): how often the holder of an entity's lock has renewed it, its lease, and how
// many holders before it vanished. Rows written by 0.1.0 have no lease.
struct LockRenewal {
  std::uint64_t renewals = 0;  // 0: the holder has left it to others, in order
  std::optional<Duration> lease;
  std::uint64_t vanished = 0;  // holders of this message's lock that stopped renewing it

  bool is_left() const { return renewals == 0 && lease.has_value(); }

  Bytes encode() const;
  static LockRenewal decode(const std::optional<Bytes>& row);
};

// The observer's own time: runs while it looks, with at most one step from look to look.
class Attention {
 public:
  // To be called at each look. Returns the time that counts, from the first look on.
  Duration look(MonotonicTime now, Duration at_most) {
    if (last_) total_ += std::min(now - *last_, at_most);
    last_ = now;
    return total_;
  }

 private:
  std::optional<MonotonicTime> last_;
  Duration total_{0};
};

}  // namespace semper::internal
