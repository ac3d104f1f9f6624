// One seed is one run: the same trace in this process, in another one, and in another order; and a
// run that goes wrong says so.
#include "run.h"

#include <array>
#include <cstdio>

#include "campaign.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "page.h"
#include "workload.h"

namespace semper::simulation {
namespace {

using ::testing::HasSubstr;

const std::string kPlans = SEMPER_SOURCE_FOLDER "/tests/simulation/plans/";

Scenario scenario_of(const std::string& plan_name, std::uint64_t seed,
                     const std::string& workload = "") {
  const auto plan = read_plan(kPlans + plan_name);
  if (!plan) throw std::runtime_error(plan.error().to_string());
  auto scenario = draw_scenario(*plan, seed, known_workloads(), workload);
  if (!scenario) throw std::runtime_error(scenario.error().to_string());
  return *scenario;
}

std::uint64_t hash_of(const Scenario& scenario) {
  Trace trace;
  return run(scenario, trace).hash;
}

std::string output_of(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 256> part{};
  while (std::fgets(part.data(), part.size(), pipe) != nullptr) output += part.data();
  ::pclose(pipe);
  return output;
}

// "hash 0123456789abcdef"
std::string hash_in(const std::string& output) {
  const auto place = output.find("; hash ");
  return place == std::string::npos ? "none in: " + output : output.substr(place + 7, 16);
}

TEST(Runs, one_seed_gives_one_trace_in_one_process) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const auto scenario = scenario_of("storm.txt", seed);
    const auto first = hash_of(scenario);
    static_cast<void>(hash_of(scenario_of("storm.txt", seed + 100)));
    EXPECT_EQ(hash_of(scenario), first) << "seed " << seed;
    EXPECT_NE(hash_of(scenario_of("storm.txt", seed + 1)), first);
  }
}

TEST(Runs, one_seed_gives_one_trace_in_two_processes) {
  const std::string command = SEMPER_SIM " --seeds 1..8 --plan " + kPlans + "storm.txt";
  const auto first = hash_in(output_of(command));
  EXPECT_EQ(first.find("none"), std::string::npos) << first;
  // Another place for everything in memory, and other chance of the operating system.
  EXPECT_EQ(hash_in(output_of("SOME_MORE_ENVIRONMENT=$(printf '%03000d' 0) " + command)), first);
  EXPECT_NE(hash_in(output_of(SEMPER_SIM " --seeds 1..7 --plan " + kPlans + "storm.txt")), first);
}

TEST(Runs, a_calm_world_breaks_no_promise) {
  const auto scenario = scenario_of("calm.txt", 3, "order");
  Trace trace;
  const auto outcome = run(scenario, trace);
  EXPECT_EQ(outcome.findings, std::vector<std::string>());
  EXPECT_GE(outcome.operations, scenario.count("clients") * scenario.count("operations"));
  EXPECT_TRUE(outcome.faults.empty());
}

// A few commits of each run are lost, or applied twice, although the store says otherwise.
TEST(Lies, a_store_that_lies_is_noticed) {
  for (const std::string lie : {"lie.lost", "lie.twice"}) {
    for (const auto& workload : known_workloads().names) {
      // These use no store.
      if (workload == "ring" || workload == "journal" || workload == "streams") continue;
      int lied = 0;
      int noticed = 0;
      const int enough = lie == "lie.lost" ? 4 : 1;
      for (std::uint64_t seed = 1; seed <= 12 || (noticed < enough && seed <= 60); ++seed) {
        auto scenario = scenario_of("calm.txt", seed, workload);
        scenario.values[lie] = 0.05;
        Trace trace;
        const auto outcome = run(scenario, trace);
        lied += outcome.faults.contains("lies") ? 1 : 0;
        noticed += outcome.failed() ? 1 : 0;
      }
      EXPECT_GE(lied, 10) << workload << ", " << lie;
      // An answer that is given twice is dropped, as it must be.
      if (lie == "lie.twice" && workload == "answers") continue;
      // Names, and ticks that a group delivers, are rows that are set: once more is the same.
      if (lie == "lie.twice" && (workload == "registry" || workload == "timers")) continue;
      EXPECT_GE(noticed, enough) << workload << ", " << lie;
    }
  }
}

TEST(Shrinking, a_failure_is_made_smaller_and_is_not_lost) {
  auto scenario = scenario_of("storm.txt", 3, "order");
  for (std::uint64_t seed = 4; scenario.disturbances.size() < 5; ++seed) {
    scenario = scenario_of("storm.txt", seed, "order");
  }
  scenario.values["lie.lost"] = 0.1;
  const auto small = shrink(scenario, 300);
  ASSERT_TRUE(small);
  EXPECT_TRUE(small->outcome.failed());
  EXPECT_LT(small->scenario.disturbances.size(), scenario.disturbances.size());
  EXPECT_LT(small->scenario.count("operations"), scenario.count("operations"));
  EXPECT_GT(small->scenario.rate("lie.lost"), 0) << "what it comes from is gone, and it fails";
  // Written as a plan and read again it is the same run.
  const auto plan = parse_plan(small->scenario.to_plan(), "small.txt");
  ASSERT_TRUE(plan) << plan.error().to_string();
  const auto again = draw_scenario(*plan, small->scenario.seed, known_workloads(), "");
  ASSERT_TRUE(again);
  EXPECT_EQ(hash_of(*again), small->outcome.hash);
  EXPECT_FALSE(shrink(scenario_of("calm.txt", 3, "order"), 10)) << "nothing failed there";
}

TEST(Runs, a_timeline_shows_every_lane_and_what_happened) {
  auto scenario = scenario_of("calm.txt", 3, "counter");
  Disturbance crash;
  crash.at = std::chrono::milliseconds(20);
  scenario.disturbances.push_back(crash);
  Trace trace;
  trace.keep();
  const auto outcome = run(scenario, trace);
  const auto page = make_page(scenario, outcome, trace);
  for (std::size_t lane = 0; lane < scenario.processes(); ++lane) {
    EXPECT_THAT(page, HasSubstr(" " + std::to_string(lane) + "</th>"));
  }
  EXPECT_THAT(page, HasSubstr("<td class=fault>at 20000000ns crash process=0"));
  EXPECT_THAT(page, HasSubstr("is killed"));
  EXPECT_THAT(page, HasSubstr("Ref::call"));
}

TEST(Commands, a_wrong_command_is_refused_in_words) {
  const auto told = [](const std::string& options) {
    return output_of(SEMPER_SIM " " + options + " 2>&1; echo \"ended with $?\"");
  };
  EXPECT_THAT(told("--sedes 1..2"), HasSubstr("\"--sedes\" is no option"));
  EXPECT_THAT(told("--sedes 1..2"), HasSubstr("ended with 2"));
  EXPECT_THAT(told("--seeds 5..2"), HasSubstr("goes backwards"));
  EXPECT_THAT(told("--seeds a..2"), HasSubstr("\"a\" is not a number"));
  EXPECT_THAT(told("--plan"), HasSubstr("--plan wants a value"));
  EXPECT_THAT(told("--plan /no/plan.txt"), HasSubstr("/no/plan.txt cannot be read"));
  EXPECT_THAT(told("--workload chess"), HasSubstr("there is no workload \"chess\""));
  EXPECT_THAT(told("--help"), HasSubstr("store.unknown_late"));
  EXPECT_THAT(told("--help"), HasSubstr("ended with 0"));
}

}  // namespace
}  // namespace semper::simulation
