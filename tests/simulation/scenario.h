// Scenario: one run as its seed drew it from a plan: every rate, and every disturbance with its
// time.
//
// A scenario can be written as a plan that allows nothing else (to_plan), so that a run that was
// made smaller is repeated like any other: semper-sim --seeds SEED..SEED --plan FILE.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "plan.h"
#include "semper/testing/faulty_backend.h"

namespace semper::simulation {

struct Scenario {
  std::string plan;
  std::uint64_t seed = 0;
  std::vector<std::string> workloads;
  std::map<std::string, double> values;   // by the plan's keys
  std::vector<Disturbance> disturbances;  // in order of time

  std::size_t count(const std::string& key) const {
    return static_cast<std::size_t>(values.at(key));
  }
  double rate(const std::string& key) const { return values.at(key); }
  Duration time(const std::string& key) const { return seconds(values.at(key)); }

  testing::StoreFaults store_faults() const;
  std::size_t processes() const { return count("hosts") + count("callers"); }

  std::string to_plan() const;
};

// The workloads that there are, and which of them a plan means by `all`. Those of a feature are
// named by its own plan (plans/features): a new one so leaves what every other seed draws as it
// was.
struct KnownWorkloads {
  std::vector<std::string> names;
  std::vector<std::string> all;
};

// `only`: none, or the workload that is to run. Error: invalid_argument (a workload that there is
// not).
Result<Scenario> draw_scenario(const Plan& plan, std::uint64_t seed, const KnownWorkloads& known,
                               const std::string& only);

}  // namespace semper::simulation
