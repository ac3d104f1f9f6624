#include "campaign.h"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "page.h"
#include "workload.h"

namespace semper::simulation {
namespace {

double seconds_of(Duration span) {
  return std::chrono::duration<double>(span).count();
}

void print_failure(const Scenario& scenario, const Outcome& outcome, const std::string& command) {
  std::cout << "\nFAILED: seed " << scenario.seed << " of the plan " << scenario.plan
            << ", workloads";
  for (const auto& name : scenario.workloads) std::cout << " " << name;
  std::cout << ", commit " << commit_of_tree() << "\n";
  for (const auto& finding : outcome.findings) std::cout << "  " << finding << "\n";
  std::cout << "again:   " << command << "\n"
            << "looking: " << command << " --trace " << scenario.seed << ".html\n"
            << "smaller: " << command << " --shrink " << scenario.seed << "\n"
            << std::endl;
}

void print_summary(const CampaignOptions& options, const CampaignResult& result) {
  std::cout << result.seeds << " seeds (" << options.from << ".." << options.to << "), "
            << result.failed << " failed; " << result.operations << " operations; ";
  for (const auto& [name, runs] : result.runs) std::cout << name << " " << runs << ", ";
  std::cout << "\nfaults: ";
  for (const auto& [name, count] : result.faults) std::cout << name << " " << count << ", ";
  char line[200];
  std::snprintf(line, sizeof line,
                "\n%.0f simulated seconds in %.1f real ones: %.0f to 1; hash %016llx\n",
                result.simulated_seconds, result.real_seconds,
                result.simulated_seconds / std::max(result.real_seconds, 1e-9),
                static_cast<unsigned long long>(result.hash));
  std::cout << line << std::flush;
}

}  // namespace

std::string commit_of_tree() {
  std::string commit;
  const std::string command =
      "git -C '" SEMPER_SOURCE_FOLDER "' describe --always --dirty --abbrev=12 2>/dev/null";
  if (FILE* pipe = ::popen(command.c_str(), "r")) {
    char line[100];
    while (std::fgets(line, sizeof line, pipe) != nullptr) commit += line;
    ::pclose(pipe);
  }
  while (!commit.empty() && commit.back() == '\n') commit.pop_back();
  return commit.empty() ? "unknown" : commit;
}

std::string command_for(const Scenario& scenario, const std::string& plan_path,
                        const std::string& workload) {
  const std::string seed = std::to_string(scenario.seed);
  return "semper-sim --seeds " + seed + ".." + seed + " --plan " + plan_path +
         (workload.empty() ? "" : " --workload " + workload);
}

Result<CampaignResult> run_campaign(const CampaignOptions& options) {
  std::vector<Plan> plans;
  for (const auto& path : options.plans) {
    SEMPER_TRY(auto plan, read_plan(path));
    plans.push_back(std::move(plan));
  }
  CampaignResult result;
  const auto known = known_workloads();
  const auto begun = std::chrono::steady_clock::now();
  for (auto seed = options.from; seed <= options.to; ++seed) {
    const std::size_t which = seed % plans.size();
    SEMPER_TRY(auto scenario, draw_scenario(plans[which], seed, known, options.workload));
    Trace trace;
    const bool shows = !options.trace.empty() && options.from == options.to;
    if (shows) trace.keep();
    const Outcome outcome = run(scenario, trace);
    if (shows) write_page(options.trace, scenario, outcome, trace);
    if (options.checks_hashes) {
      Trace again;
      if (run(scenario, again).hash != outcome.hash) {
        std::cout << "seed " << seed << " ran twice and differently\n";
        ++result.failed;
      }
    }
    ++result.seeds;
    result.operations += outcome.operations;
    result.hash = result.hash * 31 + outcome.hash;
    result.simulated_seconds += seconds_of(outcome.simulated);
    result.surface.add(outcome.surface);
    for (const auto& [name, count] : outcome.faults) result.faults[name] += count;
    for (const auto& name : scenario.workloads) ++result.runs[name];
    if (!outcome.failed()) continue;
    ++result.failed;
    print_failure(scenario, outcome, command_for(scenario, options.plans[which], options.workload));
    if (result.failed >= options.failures_at_most) break;
  }
  result.real_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  print_summary(options, result);
  return result;
}

}  // namespace semper::simulation
