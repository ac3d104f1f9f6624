// Right runs of actions pass, and so do no spoilt ones.
#include "actions.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace semper::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Actions, right_runs_are_accepted) {
  EXPECT_THAT(judge_actions("e", {{1}, {3}}, {1, 2, 3}), IsEmpty());
  EXPECT_THAT(judge_actions("e", {{1}, {2}}, {1, 2}, ActionsExpected::once), IsEmpty());
}

TEST(Actions, a_second_run_is_found) {
  EXPECT_THAT(judge_actions("e", {{1}, {1}, {1}}, {1}), ElementsAre(HasSubstr("more than once")));
}

TEST(Actions, a_run_without_its_commit_is_found) {
  EXPECT_THAT(judge_actions("e", {{1}}, {}), ElementsAre(HasSubstr("was never committed")));
  EXPECT_THAT(judge_actions("e", {{1, false}}, {1}), ElementsAre(HasSubstr("a state without it")));
}

TEST(Actions, a_missing_run_is_found) {
  EXPECT_THAT(judge_actions("e", {{1}}, {1, 2}, ActionsExpected::once),
              ElementsAre(HasSubstr("message 2 did not run")));
}

}  // namespace
}  // namespace semper::testing
