// The victims' processes, and those that judge what is left of their work.
//
// A worker runs until it is killed, and keeps notes outside the disk under test. A judge runs after
// the power came back: it opens what is there, does what was left undone, compares it with the
// notes, writes a line "wrong: ..." for each broken promise and "judged N" at the end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace semper::testing {

// What all of them are told. As arguments of a process: to_arguments().
struct RoleOptions {
  std::string role;
  std::string disk;   // the folder under test
  std::string notes;  // a folder outside it
  std::uint64_t seed = 0;
  std::string format;   // of a ring
  std::string device;   // of a ring: a block device; empty: a file in `disk`
  bool flushes = true;  // false: a victim that must be caught
  bool faults = false;  // flushes may fail: errors of the disk are expected, and gone on after
};

std::vector<std::string> to_arguments(const RoleOptions& options);

std::optional<int> run_powercut_role(const std::vector<std::string>& arguments);

// Each says how it ended in the exit code; the judges print sentences.
int run_ring_producer(const RoleOptions& options);
int run_ring_consumer(const RoleOptions& options);
int run_ring_judge(const RoleOptions& options);
int run_journal(const RoleOptions& options);
int run_journal_judge(const RoleOptions& options);
int run_drain(const RoleOptions& options);
int run_store_judge(const RoleOptions& options);  // of sqlite, and of the drain
int run_plain_sqlite(const RoleOptions& options);
int run_plain_sqlite_judge(const RoleOptions& options);

// For judges and workers.
void say_wrong(const std::string& sentence);
int end_of_judgement(std::size_t judged);
int report_error(const RoleOptions& options, const std::string& words);

// Their files.
inline std::string ring_path(const RoleOptions& options) {
  return options.device.empty() ? options.disk + "/ring" : options.device;
}
inline std::string store_url(const std::string& disk) {
  return "sqlite:" + disk + "/store.db";
}
inline constexpr const char* kLedgerPrefix = "L";
inline constexpr const char* kTotalLedger = "L-total";

}  // namespace semper::testing
