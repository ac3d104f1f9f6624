// VersionTimes: when the store was seen to have reached which version, by one monotonic clock.
//
// A queue's row says in which commit its messages were sent, and not when; and calendars of
// machines are never compared. But a host looks at the store's version whenever it renews its
// registration. Whatever was committed at a version up to the one that it saw was there by then: so
// it has waited for at least as long as that is ago, by this host's clock. How old a message is
// comes from that, at the cost of a row a host.
//
// What is said of an age is never more than the truth. It is less by up to a renewal (a third of
// HostOptions::host_lease), and by up to a third of the age, because only kVersionTimes looks are
// kept: many of late, few of long ago.
//
// (14, host), beside the host's row. CBOR: [1, version, ms, version, ms, ...]: the newest first,
// with how long before the row was written it was. Whoever reads the row, on any machine, knows
// that so much has passed at least. Hosts of 0.1.0 neither write nor read it. Threads: one at a
// time.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/base/time.h"
#include "semper/store/backend.h"
#include "semper/store/keys.h"

namespace semper::internal {

inline constexpr std::size_t kVersionTimes = 48;

Bytes version_times_key(BytesView tenant_prefix, BytesView host);
KeyRange version_times_range(BytesView tenant_prefix);
Result<Bytes> host_key_of_version_times(BytesView tenant_prefix, BytesView key);

class VersionTimes {
 public:
  // The store was at this version by now.
  void saw(Version version, MonotonicTime now);
  // For how long what was committed at that version has been there, at least. Nothing: for less
  // than can be told.
  std::optional<Duration> age_of(Version version, MonotonicTime now) const;
  Bytes encode(MonotonicTime now) const;

 private:
  struct Look {
    Version version = 0;
    MonotonicTime at{};
  };
  std::deque<Look> looks_;  // the newest first
};

// What the rows of all hosts say.
class VersionAges {
 public:
  // False: it is none, or of a format that is not known. It counts as nothing.
  bool add(BytesView row);
  std::optional<Duration> age_of(Version version) const;

 private:
  struct Known {
    Version version = 0;
    Duration ago{};
  };
  std::vector<Known> known_;
};

}  // namespace semper::internal
