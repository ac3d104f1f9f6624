// HarnessOptions, HarnessReport: how a Harness (testing/harness.h) works, and what came of its
// runs.
//
//   const semper::testing::HarnessReport report = harness.explore(scenario);
//   EXPECT_TRUE(report.passed()) << report;         // "214 runs, 0 findings", or what went wrong
//
// When not: tests without faults look at the Harness itself. Threads: plain values.
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
  // The caller lives in the host's process, as a program that serves what it calls: what finds the
  // queue empty runs in the caller's own transaction. A crash takes both.
  direct,
  // The caller is a process of its own, without a host: everything goes through the durable queue.
  // Caller and host crash one at a time.
  queued,
};

struct HarnessOptions {
  // Paths that explore() takes, one after the other. Outside of explore() it is the first one.
  std::vector<HarnessPath> paths = {HarnessPath::direct, HarnessPath::queued};

  // Of the host. Its executor and name are the harness's own.
  HostOptions host = {};

  // Runs of one explore() at most, those that count the points included. Where there would be more,
  // every n-th of them is made, and the report says so. Default: some seconds.
  std::size_t runs_maximum = 2'000;

  // explore() ends after so many runs with findings.
  std::size_t findings_maximum = 3;

  // Simulated time after which a call without an answer, or a world that does not come to rest, is
  // given up: longer than any lease, back-off or retry of Semper. Raise it where handle_locked
  // waits for longer.
  Duration patience = std::chrono::minutes(10);

  // Messages that fail, and are set aside, are a finding; true: the scenario sends such on purpose.
  bool dead_letters_are_expected = false;

  // Of everything that is drawn. The same seed gives the same runs.
  std::uint64_t seed = 1;
};

struct HarnessFinding {
  // "queued:crash@17": through the queue, the process that came to point 17 was lost there.
  std::string run;
  std::string what;
  // The command that makes this run alone.
  std::string repeat;
  // What happened before, oldest first; at most kHarnessHistory lines of it.
  std::vector<std::string> history;
};

inline constexpr std::size_t kHarnessHistory = 200;

struct HarnessReport {
  std::size_t runs = 0;      // that were made
  std::size_t possible = 0;  // that there are; more than `runs` where a bound was met
  std::size_t points = 0;    // of the runs without a fault, all paths together
  std::vector<HarnessFinding> findings = {};
  // Where the enumeration could not go, and other things to know. Each a sentence.
  std::vector<std::string> remarks = {};

  bool passed() const { return findings.empty(); }

  // "214 runs, 0 findings", the remarks, and each finding with its history.
  std::string to_string() const;
};
std::ostream& operator<<(std::ostream& out, const HarnessReport& report);

}  // namespace semper::testing
