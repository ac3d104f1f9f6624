// A bounded campaign for each victim, and the proof that the attacker bites.
//
//   build/dev/tests/powercut/powercut_test --victim sqlite --rounds 1000 --seed 7
#include <gtest/gtest.h>

#include <iostream>

#include "campaign.h"
#include "disk.h"
#include "semper/testing/seed.h"

namespace semper::testing {
namespace {

constexpr std::uint64_t kRounds = 24;
constexpr auto kLimit = std::chrono::seconds(5);
constexpr std::uint64_t kControlRounds = 30;

class PowerCut : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (const auto obstacle = powercut_obstacle()) GTEST_SKIP() << *obstacle;
  }
  static CampaignResult attack(const std::string& victim, std::uint64_t rounds,
                               std::chrono::seconds limit) {
    CampaignOptions options;
    options.victim = victim;
    options.rounds = rounds;
    options.limit = limit;
    options.seed = test_seed() % 1'000'000'000;
    std::cout << "--victim " << victim << " --seed " << options.seed << std::endl;
    return run_campaign(options, std::cout);
  }
};

TEST_P(PowerCut, nothing_acknowledged_is_lost_or_there_twice_and_all_that_is_left_opens) {
  const auto result = attack(GetParam(), kRounds, kLimit);
  for (const auto& sentence : result.wrong) ADD_FAILURE() << sentence;
  if (!result.wrong.empty()) ADD_FAILURE() << "again: " << result.repeat;
  EXPECT_GT(result.cuts, 0u);
  std::cout << result.cuts << " cuts, " << result.failed_flushes << " failed flushes, "
            << result.judged << " acknowledgements judged" << std::endl;
}
INSTANTIATE_TEST_SUITE_P(Victims, PowerCut,
                         ::testing::Values("sqlite", "semper-1", "mirage-1.0", "journal", "drain",
                                           "loop", "plain-sqlite"),
                         [](const auto& victim) {
                           std::string name = victim.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
                               '_');
                           return name;
                         });

class PowerCutControl : public PowerCut {};

TEST_P(PowerCutControl, whoever_acknowledges_before_flushing_is_caught) {
  const auto result = attack(GetParam(), kControlRounds, std::chrono::minutes(2));
  EXPECT_FALSE(result.wrong.empty())
      << "the attacker has no teeth: " << result.judged << " acknowledgements were all kept";
  std::cout << "caught after " << result.cuts
            << " cuts: " << (result.wrong.empty() ? "" : result.wrong.front()) << std::endl;
}
INSTANTIATE_TEST_SUITE_P(Liars, PowerCutControl, ::testing::Values("lying-ring", "lying-sqlite"),
                         [](const auto& victim) { return std::string(victim.param).substr(6); });

}  // namespace
}  // namespace semper::testing
