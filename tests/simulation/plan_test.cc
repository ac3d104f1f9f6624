// Plans: what is drawn from them, what is refused and how, and that a scenario written as a plan is
// itself.
#include "plan.h"

#include <filesystem>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "scenario.h"
#include "workload.h"

namespace semper::simulation {
namespace {

using ::testing::HasSubstr;

std::string error_of(std::string_view text) {
  const auto plan = parse_plan(text, "p.txt");
  return plan ? "none" : plan.error().message();
}

TEST(Plans, a_wrong_line_is_refused_with_its_reason) {
  EXPECT_THAT(error_of("# one\n\nstore.conflicts 0.1"),
              HasSubstr("p.txt:3: \"store.conflicts\" is no key"));
  EXPECT_THAT(error_of("store.conflict 1.5"), HasSubstr("p.txt:1: \"1.5\" is not a rate"));
  EXPECT_THAT(error_of("crash.every 5"), HasSubstr("\"5\" is not a time"));
  EXPECT_THAT(error_of("crash.every 5 s"), HasSubstr("write: crash.every"));
  EXPECT_THAT(error_of("crash.every 5s..2s"), HasSubstr("is not a range"));
  EXPECT_THAT(error_of("clients 1.5"), HasSubstr("is not a whole number"));
  EXPECT_THAT(error_of("clients nan"), HasSubstr("is not a number"));
  EXPECT_THAT(error_of("clients 1\nclients 2"), HasSubstr("p.txt:2: \"clients\" is there twice"));
  EXPECT_THAT(error_of("clients 1 on 0.5"), HasSubstr("[off P]"));
  EXPECT_THAT(error_of("at 1s burn"), HasSubstr("\"burn\" is none of: crash"));
  EXPECT_THAT(error_of("at 1s crash who=1"), HasSubstr("\"who=1\" is none of"));
  EXPECT_THAT(error_of("at 1s"), HasSubstr("write: at TIME"));
  EXPECT_THAT(error_of("workloads"), HasSubstr("write: workloads"));
  EXPECT_EQ(error_of("clients 2..3 off 0.5 # so many"), "none");
  EXPECT_EQ(read_plan("/no/such/plan").error().kind(), ErrorKind::not_found);
}

TEST(Plans, an_unknown_workload_is_refused) {
  const auto plan = parse_plan("workloads counter chess", "p.txt");
  ASSERT_TRUE(plan);
  const auto scenario = draw_scenario(*plan, 1, known_workloads(), "");
  ASSERT_FALSE(scenario);
  EXPECT_THAT(scenario.error().message(), HasSubstr("no workload \"chess\"; known: actions"));
}

TEST(Plans, what_is_drawn_is_within_its_range) {
  const auto plan =
      parse_plan("clients 2..5\nstore.conflict 0.1..0.2 off 0.5\ncrash.every 1s..2s", "p");
  ASSERT_TRUE(plan);
  int off = 0;
  std::size_t least = 99;
  std::size_t most = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto scenario = draw_scenario(*plan, seed, known_workloads(), "");
    ASSERT_TRUE(scenario);
    const double rate = scenario->rate("store.conflict");
    if (rate == 0) {
      ++off;
    } else {
      EXPECT_GE(rate, 0.1);
      EXPECT_LE(rate, 0.2);
    }
    least = std::min(least, scenario->count("clients"));
    most = std::max(most, scenario->count("clients"));
    EXPECT_GE(scenario->disturbances.size(), 8u);
  }
  EXPECT_GT(off, 60);
  EXPECT_LT(off, 140);
  EXPECT_EQ(least, 2u);
  EXPECT_EQ(most, 5u);
}

TEST(Plans, a_scenario_written_as_a_plan_is_the_same_scenario) {
  for (const auto& entry :
       std::filesystem::directory_iterator(SEMPER_SOURCE_FOLDER "/tests/simulation/plans")) {
    auto plan = read_plan(entry.path().string());
    ASSERT_TRUE(plan) << plan.error().to_string();
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      auto drawn = draw_scenario(*plan, seed, known_workloads(), "");
      ASSERT_TRUE(drawn);
      auto again = parse_plan(drawn->to_plan(), plan->name);
      ASSERT_TRUE(again) << again.error().to_string();
      auto redrawn = draw_scenario(*again, seed, known_workloads(), "");
      ASSERT_TRUE(redrawn);
      EXPECT_EQ(redrawn->to_plan(), drawn->to_plan());
    }
  }
}

}  // namespace
}  // namespace semper::simulation
