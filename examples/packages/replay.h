// What the entities have to say, found without them: by reading the log once from start to end, and
// from dpkg's own database.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dpkg_log.h"

namespace packages {

// The state of each package after the last event, keyed as in the log.
using Replay = std::map<std::string, PackageState>;
Replay replay(const std::vector<StatusEvent>& events);

// Every way in which `actual` differs from what the log says; empty: none. `counts_from_zero`: the
// entity has seen nothing but this log, so its number of events must be equal too; else it may be
// higher (files that were deleted since).
enum class Counting : std::uint8_t { from_zero, at_least };
std::vector<std::string> differences(const PackageState& expected, const PackageState& actual,
                                     Counting counting);

// One line of: dpkg-query -W -f='${Package}:${Architecture} ${Status} ${Version}\n'
struct Installed {
  std::string status;   // "installed", "config-files", ...
  std::string version;  // empty where dpkg has none
};
using DpkgDatabase = std::map<std::string, Installed>;  // by NAME:ARCH
semper::Result<DpkgDatabase> parse_dpkg_query(std::string_view output);
// Runs it. Errors: not_found (no dpkg-query here), io.
semper::Result<DpkgDatabase> ask_dpkg_query();

// How the log's last word on each package stands to what dpkg has now.
struct Comparison {
  std::uint64_t installed_equal = 0;  // both say installed, in the same version
  std::uint64_t others_equal = 0;     // both say the same other thing (removed, config-files, ...)
  std::uint64_t other_architecture =
      0;  // gone, and there under another architecture: renamed by an upgrade
  std::uint64_t older_than_log = 0;  // in dpkg only: the log does not reach back so far
  std::vector<std::string> mismatches;
};
Comparison compare(const std::map<std::string, PackageState>& entities, const DpkgDatabase& dpkg);

}  // namespace packages
