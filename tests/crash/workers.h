// The roles of the crash test's processes.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "semper/semper.h"

namespace semper::testing {

// Short, so that the dead are missed within the test.
inline constexpr auto kHostLease = std::chrono::milliseconds(250);
inline constexpr auto kLockLease = std::chrono::milliseconds(300);

HostOptions crash_host_options(const std::string& name);

// What a publisher is told. As arguments of the process: to_arguments().
struct PublisherOptions {
  std::string store;
  std::string journal;  // a file of its own
  std::string name;     // its lanes are NAME.0, NAME.1, ...
  std::string ledgers;  // it posts to LEDGERS-0, LEDGERS-1, ...
  std::string total;    // where some of the posts are sent on to
  std::uint64_t seed = 0;
  bool serves = false;  // hosts ledgers as well: its own messages may run inline
};
inline constexpr int kLanes = 4;  // posts of one publisher that are under way at once
inline constexpr int kLedgers = 4;

std::vector<std::string> to_arguments(const PublisherOptions& options);
std::vector<std::string> consumer_arguments(const std::string& store, const std::string& name);
// Holds the lock of a vault (lock_crash_test.cc).
std::vector<std::string> vault_host_arguments(const std::string& store, const std::string& folder);

// Serves bombs (bomb_crash_test.cc).
std::vector<std::string> bomb_host_arguments(const std::string& store, const std::string& folder);

// Runs the role that the arguments name, until standard input ends; the exit code. Nothing: no
// role.
std::optional<int> run_role(const std::vector<std::string>& arguments);

}  // namespace semper::testing
