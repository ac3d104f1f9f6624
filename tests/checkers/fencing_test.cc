// A right history of a lock passes, and so does no spoilt one.
#include "fencing.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace semper::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<ShownToken> kShown = {{5, 1, true}, {9, 1, true}, {5, 1, true}, {12, 2, true}};

TEST(Fencing, a_right_history_is_accepted) {
  EXPECT_THAT(judge_fencing("e", kShown, {{9, 1}, {12, 2}}), IsEmpty());
}

TEST(Fencing, a_late_result_of_an_old_holder_is_found) {
  EXPECT_THAT(judge_fencing("e", kShown, {{9, 1}, {5, 1}}),
              ElementsAre(HasSubstr("token 5 was written after that with 9")));
  EXPECT_THAT(judge_fencing("e", kShown, {{9, 1}, {9, 1}}), ElementsAre(HasSubstr("after that")));
  EXPECT_THAT(judge_fencing("e", {{9, 2, true}, {5, 1, false}}, {{5, 1}}),
              ElementsAre(HasSubstr("although its holder had lost the lock")));
}

TEST(Fencing, a_token_of_nobody_or_of_two_messages_is_found) {
  EXPECT_THAT(judge_fencing("e", kShown, {{7, 1}}), ElementsAre(HasSubstr("is nobody's")));
  EXPECT_THAT(judge_fencing("e", kShown, {{9, 2}}), ElementsAre(HasSubstr("another message's")));
  EXPECT_THAT(judge_fencing("e", {{5, 1, true}, {5, 2, true}}, {}),
              ElementsAre(HasSubstr("two messages hold token 5")));
}

}  // namespace
}  // namespace semper::testing
