// Run: one seed from its beginning to its verdict.
//
//   safety     processes, clients and disturbances, until the clients have done what they shall
//   liveness   the disturbances end, everybody is there, and within kConverge of simulated time
//              every caller is answered, queues are empty, no lock and no reply is left
//   verdict    the workloads hold the states against what their clients were told
//   departure  everybody goes, and nothing is left in the store besides states, nor a timer in the
//              clock
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "scenario.h"
#include "surface.h"
#include "trace.h"

namespace semper::simulation {

// Simulated time in which everything must come to rest when the faults are over: the longest lease
// (the session's, 10 s), the pauses of failing messages and a stuck commit, four times.
inline constexpr Duration kConverge = std::chrono::seconds(60);

struct Outcome {
  std::vector<std::string> findings;
  std::uint64_t hash = 0;
  std::uint64_t steps = 0;
  std::uint64_t operations = 0;  // that were answered
  Duration simulated{};
  std::map<std::string, std::uint64_t> faults;  // how many of each happened
  Surface surface;

  bool failed() const { return !findings.empty(); }
};

// Events go to the trace, which the caller may have told to keep them.
Outcome run(const Scenario& scenario, Trace& trace);

}  // namespace semper::simulation
