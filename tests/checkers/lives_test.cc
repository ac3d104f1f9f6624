// Right lives pass, and so do no spoilt ones.
#include "lives.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace semper::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const LifeMessage kEarlyCast{1, false, Fate::done, 1, 2};
const LifeMessage kEarlyCall{2, true, Fate::done, 3, 4};
const LifeMessage kLate{3, true, Fate::done, 20, 21};
const LifeEnd kKill{true, Fate::done, 10, 11};
const LifeEnd kReset{false, Fate::done, 10, 11};
const LifeEnd kOpenKill{true, Fate::open, 10};

TEST(Lives, right_lives_are_accepted) {
  EXPECT_THAT(judge_lives("e", {kEarlyCast, kEarlyCall, kLate}, {kKill}, {3}), IsEmpty());
  EXPECT_THAT(judge_lives("e", {kEarlyCast, kEarlyCall, kLate}, {kReset}, {1, 3}), IsEmpty());
  EXPECT_THAT(judge_lives("e", {kEarlyCast, kEarlyCall, kLate}, {kOpenKill}, {}), IsEmpty());
  EXPECT_THAT(judge_lives("e", {kEarlyCast, kEarlyCall, kLate}, {kOpenKill}, {1, 2, 3}), IsEmpty());
}

TEST(Lives, a_message_that_comes_back_after_a_kill_or_reset_is_found) {
  EXPECT_THAT(judge_lives("e", {kEarlyCast, kLate}, {kKill}, {1, 3}),
              ElementsAre(HasSubstr("message 1 is there although")));
  EXPECT_THAT(judge_lives("e", {kEarlyCall, kLate}, {kReset}, {2, 3}),
              ElementsAre(HasSubstr("message 2 is there although")));
}

TEST(Lives, an_acknowledged_message_that_is_lost_is_found) {
  EXPECT_THAT(judge_lives("e", {kEarlyCall, kLate}, {kKill}, {}),
              ElementsAre(HasSubstr("message 3 was acknowledged and is lost")));
  EXPECT_THAT(judge_lives("e", {kEarlyCall}, {}, {}), ElementsAre(HasSubstr("is lost")));
}

TEST(Lives, the_effect_of_a_repeated_or_refused_message_is_found) {
  EXPECT_THAT(judge_lives("e", {kLate}, {}, {3, 3}), ElementsAre(HasSubstr("2 times")));
  EXPECT_THAT(judge_lives("e", {{4, true, Fate::refused, 1, 2}}, {}, {4}),
              ElementsAre(HasSubstr("was refused and is there")));
}

}  // namespace
}  // namespace semper::testing
