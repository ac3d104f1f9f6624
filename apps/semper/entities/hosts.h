// Which hosts are alive: found out by watching their rows, not by anybody's calendar.
#pragma once

#include <string>
#include <vector>

#include "common/invocation.h"
#include "semper/server/inspect.h"

namespace semper::cli {

// A host that does not say its lease, one of 0.1.0, is given so much time to be seen renewing.
inline constexpr Duration kHostSilence = std::chrono::seconds(10);
// No row is watched for longer, whatever its lease says.
inline constexpr Duration kHostWatchMaximum = std::chrono::seconds(30);

struct WatchedHost {
  HostView view;
  bool is_silent = false;  // not seen to renew its row for the whole of its own lease
};

// Returns as soon as each was seen to renew (three times per lease), or has gone, or was silent for
// its lease.
Async<std::vector<WatchedHost>> watch_hosts(Tenant tenant);

bool serves(const HostView& host, const std::string& type);

Async<void> show_hosts(Invocation& invocation);

}  // namespace semper::cli
