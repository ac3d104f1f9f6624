// HarnessOptions, HarnessReport: the settings of a Harness (testing/harness.h), and the results of
// its runs.
//
//   const semper::testing::HarnessReport report = harness.explore(scenario);
//   EXPECT_TRUE(report.passed()) << report;         // "214 runs, 0 findings", or what went wrong
//
// When not: tests without faults use the Harness itself. Threads: plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "semper/server/host_options.h"

namespace semper::testing {

// How the messages of a scenario reach the host.
enum class HarnessPath : std::uint8_t {
  // The caller lives in the host's process, as in a program that serves what it calls: if the queue
  // is empty, a message runs in the caller's own transaction. Both crash together.
  direct,
  // The caller is a separate process without a host: everything goes through the durable queue.
  // Caller and host crash one at a time.
  queued,
};

struct HarnessOptions {
  // The paths that explore() takes, one after the other. Outside explore(), the first one is used.
  std::vector<HarnessPath> paths = {HarnessPath::direct, HarnessPath::queued};

  // Options of the host. The harness sets its executor and name.
  HostOptions host = {};

  // The maximum number of runs of one explore(), including those that count the points. If there
  // would be more, only every n-th is made, and the report says so. The default takes some seconds.
  std::size_t runs_maximum = 2'000;

  // explore() ends after this many runs with findings.
  std::size_t findings_maximum = 3;

  // Simulated time after which the harness gives up on a call without an answer, or on settling:
  // longer than any lease, back-off or retry of Semper. Raise it if handle_locked waits for longer.
  Duration patience = std::chrono::minutes(10);

  // Messages that fail and are set aside are a finding; true: the scenario sends such messages on
  // purpose.
  bool dead_letters_are_expected = false;

  // The seed of all random numbers. The same seed gives the same runs.
  std::uint64_t seed = 1;
};

struct HarnessFinding {
  // "queued:crash@17": on the path `queued`, the process that reached point 17 crashed there.
  std::string run;
  std::string what;
  // The command that repeats only this run.
  std::string repeat;
  // What happened before, oldest first; at most kHarnessHistory lines of it.
  std::vector<std::string> history;
};

inline constexpr std::size_t kHarnessHistory = 200;

struct HarnessReport {
  std::size_t runs = 0;      // made
  std::size_t possible = 0;  // in total; more than `runs` if a bound was reached
  std::size_t points = 0;    // in the runs without a fault, on all paths together
  std::vector<HarnessFinding> findings = {};
  // What the enumeration could not cover, and other remarks. Each is a sentence.
  std::vector<std::string> remarks = {};

  bool passed() const { return findings.empty(); }

  // "214 runs, 0 findings", the remarks, and each finding with its history.
  std::string to_string() const;
};
std::ostream& operator<<(std::ostream& out, const HarnessReport& report);

}  // namespace semper::testing
