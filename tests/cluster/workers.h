// The roles of the cluster tests' processes. Publishers to ledgers are those of the crash tests
// (crash/workers.h).
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace semper::testing {

inline constexpr int kCounters = 3;
inline constexpr int kCounterLanes = 3;  // operations of one client that are under way at once
std::string counter_name(int number);

inline constexpr std::size_t kBankAccounts = 8;
inline constexpr std::int64_t kBankPaidIn = 100;  // into each
inline constexpr int kBankClerks = 3;             // of one process

// Serves counters, ledgers and accounts, until standard input ends.
std::vector<std::string> host_arguments(const std::string& store, const std::string& name);
// Adds to and reads counters, and writes its history to a file of its own.
struct CounterClientOptions {
  std::string store;
  std::string history;
  std::uint64_t seed = 0;
};
std::vector<std::string> counter_client_arguments(const CounterClientOptions& options);
// Opens the accounts, then transfers; says "done N refused N unknown N failed N" at its end.
std::vector<std::string> clerk_arguments(const std::string& store, std::uint64_t seed);

// Runs the role that the arguments name; the exit code. Nothing: no role of these.
std::optional<int> run_cluster_role(const std::vector<std::string>& arguments);

}  // namespace semper::testing
