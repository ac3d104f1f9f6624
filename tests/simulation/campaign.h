// Campaign: many seeds in a row, and what to do with one that fails.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "run.h"

namespace semper::simulation {

struct CampaignOptions {
  std::uint64_t from = 1;
  std::uint64_t to = 100;
  std::vector<std::string> plans;  // files; each seed takes the next one
  std::string workload;            // empty: as the plan says
  std::string trace;               // a page of the first failure, or of the only seed
  std::size_t failures_at_most = 5;
  bool checks_hashes = false;  // each seed twice
};

struct CampaignResult {
  std::uint64_t seeds = 0;
  std::uint64_t failed = 0;
  std::uint64_t operations = 0;
  std::uint64_t hash = 0;  // of all hashes
  double simulated_seconds = 0;
  double real_seconds = 0;
  std::map<std::string, std::uint64_t> faults;
  std::map<std::string, std::uint64_t> runs;  // by workload
  Surface surface;
};

// Prints failures as they come, and a summary at the end. Error: a plan that cannot be read.
Result<CampaignResult> run_campaign(const CampaignOptions& options);

// The smallest scenario that still fails, of those that dropping parts one after another leads to.
// Nothing: the scenario does not fail.
struct Shrunk {
  Scenario scenario;
  Outcome outcome;
  std::uint64_t runs = 0;
};
std::optional<Shrunk> shrink(const Scenario& scenario, std::uint64_t runs_at_most = 2000);

// The commit of the tree that this was built from, where git knows it.
std::string commit_of_tree();
std::string command_for(const Scenario& scenario, const std::string& plan_path,
                        const std::string& workload);

}  // namespace semper::simulation
