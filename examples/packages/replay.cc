#include "replay.h"

#include <algorithm>
#include <set>

#include "process.h"

namespace packages {
namespace {

using semper::ErrorKind;
using semper::fail;

std::string_view name_of(std::string_view package) {
  return package.substr(0, package.find(':'));
}

// dpkg's older versions wrote no architecture in the log; then the name alone has to do.
DpkgDatabase::const_iterator find_in(const DpkgDatabase& dpkg, const std::string& package) {
  const auto found = dpkg.find(package);
  if (found != dpkg.end() || package.find(':') != std::string::npos) return found;
  const auto first = dpkg.lower_bound(package + ":");
  return first != dpkg.end() && name_of(first->first) == package ? first : dpkg.end();
}

bool is_there(const Installed& installed) {
  return installed.status != "not-installed" && installed.status != "config-files";
}

void compare_one(const std::string& package, const PackageState& state, const DpkgDatabase& dpkg,
                 const std::set<std::string_view>& names_there, Comparison& result) {
  const auto found = find_in(dpkg, package);
  if (found == dpkg.end() || found->second.status == "not-installed") {
    if (state.status == "not-installed") {
      ++result.others_equal;
    } else if (state.status != "installed" && names_there.contains(name_of(package))) {
      ++result.other_architecture;
    } else {
      result.mismatches.push_back(package + " is '" + state.status + " " + state.version +
                                  "' in the log, and dpkg-query does not know it");
    }
    return;
  }
  const Installed& installed = found->second;
  if (installed.status != state.status || installed.version != state.version) {
    result.mismatches.push_back(package + " is '" + state.status + " " + state.version +
                                "' in the log, and '" + installed.status + " " + installed.version +
                                "' says dpkg-query");
  } else if (state.status == "installed") {
    ++result.installed_equal;
  } else {
    ++result.others_equal;
  }
}

}  // namespace

Replay replay(const std::vector<StatusEvent>& events) {
  Replay packages;
  for (const auto& event : events) {
    PackageState& state = packages[event.package];
    state.status = event.entry.status;
    state.version = event.entry.version;
    state.last_position = event.entry.position;
    ++state.events;
    append_history(state.history, event.entry);
  }
  return packages;
}

std::vector<std::string> differences(const PackageState& expected, const PackageState& actual,
                                     Counting counting) {
  std::vector<std::string> found;
  const auto compare_field = [&](const char* what, const std::string& wanted,
                                 const std::string& got) {
    if (wanted != got)
      found.push_back(std::string(what) + " is '" + got + "', not '" + wanted + "'");
  };
  compare_field("status", expected.status, actual.status);
  compare_field("version", expected.version, actual.version);
  compare_field("last position", to_string(expected.last_position),
                to_string(actual.last_position));
  const bool count_is_right = counting == Counting::from_zero ? actual.events == expected.events
                                                              : actual.events >= expected.events;
  if (!count_is_right) {
    compare_field("number of events", std::to_string(expected.events),
                  std::to_string(actual.events));
  }
  // The newest entries, one by one: what was applied twice, out of order or not at all shows here.
  const auto common = static_cast<std::ptrdiff_t>(expected.history.size());
  const bool history_is_right =
      actual.history.size() >= expected.history.size() &&
      std::equal(expected.history.begin(), expected.history.end(), actual.history.end() - common);
  if (!history_is_right) found.push_back("history differs");
  return found;
}

semper::Result<DpkgDatabase> parse_dpkg_query(std::string_view output) {
  DpkgDatabase database;
  while (!output.empty()) {
    const auto end = std::min(output.find('\n'), output.size());
    const std::string_view line = output.substr(0, end);
    output.remove_prefix(std::min(end + 1, output.size()));
    // NAME:ARCH WANT FLAG STATUS VERSION
    std::vector<std::string_view> fields;
    for (std::size_t at = 0; at <= line.size();) {
      const auto space = std::min(line.find(' ', at), line.size());
      fields.push_back(line.substr(at, space - at));
      at = space + 1;
    }
    if (fields.size() != 5 || fields[0].empty()) {
      return fail(ErrorKind::io,
                  "dpkg-query wrote a line of an unknown form: " + std::string(line));
    }
    database[std::string(fields[0])] = {std::string(fields[3]), std::string(fields[4])};
  }
  return database;
}

semper::Result<DpkgDatabase> ask_dpkg_query() {
  SEMPER_TRY(
      const auto output,
      output_of({"dpkg-query", "-W", "-f=${Package}:${Architecture} ${Status} ${Version}\\n"}));
  return parse_dpkg_query(output);
}

Comparison compare(const std::map<std::string, PackageState>& entities, const DpkgDatabase& dpkg) {
  std::set<std::string_view> names_there;
  for (const auto& [package, installed] : dpkg) {
    if (is_there(installed)) names_there.insert(name_of(package));
  }
  Comparison result;
  for (const auto& [package, state] : entities) {
    compare_one(package, state, dpkg, names_there, result);
  }
  for (const auto& [package, installed] : dpkg) {
    const bool in_log =
        entities.contains(package) || entities.contains(std::string(name_of(package)));
    if (installed.status == "installed" && !in_log) ++result.older_than_log;
  }
  return result;
}

}  // namespace packages
