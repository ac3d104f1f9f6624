// The judge itself: each broken promise is found. A crash test that could not fail would be worth
// nothing.
#include "verdict.h"

#include "gtest/gtest.h"

namespace semper::testing {
namespace {

class VerdictTest : public ::testing::Test {
 protected:
  // Publisher p posts three messages to ledger a: a call, a cast, and one without an answer.
  VerdictTest() {
    say(Step::Kind::intent, 1);
    say(Step::Kind::call_done, 1, 1);
    say(Step::Kind::intent, 2);
    say(Step::Kind::cast_done, 2);
    say(Step::Kind::intent, 3);
    account().last = account().applied = 3;
  }

  void say(Step::Kind kind, std::uint64_t number, std::uint64_t detail = 0) {
    steps_.push_back({kind, "a", "p", number, detail});
  }
  Account& account() { return ledgers_["a"]["p"]; }

  void expect_wrong(const std::string& words) {
    const auto verdict = judge(steps_, ledgers_, total_);
    ASSERT_FALSE(verdict.wrong.empty());
    EXPECT_NE(verdict.wrong[0].find(words), std::string::npos) << verdict.wrong[0];
  }
  void expect_right() {
    const auto verdict = judge(steps_, ledgers_, total_);
    for (const auto& sentence : verdict.wrong) ADD_FAILURE() << sentence;
  }

  std::vector<Step> steps_;
  std::map<std::string, Ledger::State> ledgers_;
  Ledger::State total_;
};

TEST_F(VerdictTest, APostWithoutAnAnswerMayBeThere) {
  expect_right();
  const auto verdict = judge(steps_, ledgers_, total_);
  EXPECT_EQ(verdict.acknowledged, 2u);
  EXPECT_EQ(verdict.open, 1u);
  EXPECT_EQ(verdict.open_applied, 1u);
}

TEST_F(VerdictTest, APostWithoutAnAnswerMayBeAbsent) {
  account().last = account().applied = 2;
  expect_right();
}

TEST_F(VerdictTest, ALostLastPostIsFound) {
  account().last = account().applied = 1;
  expect_wrong("lost acknowledged post 2");
}

TEST_F(VerdictTest, ALostPostInTheMiddleIsFound) {
  account().applied = 2;
  account().missed = {2};
  expect_wrong("lost acknowledged post 2");
}

TEST_F(VerdictTest, ALedgerThatIsGoneIsFound) {
  ledgers_.clear();
  expect_wrong("lost acknowledged post 1");
}

TEST_F(VerdictTest, APostAppliedTwiceIsFound) {
  account().repeats = 1;
  expect_wrong("applied twice or out of order");
}

TEST_F(VerdictTest, ARefusedPostThatIsThereIsFound) {
  say(Step::Kind::refused, 3);
  expect_wrong("which was refused");
}

TEST_F(VerdictTest, APostThatNobodySentIsFound) {
  account().last = account().applied = 4;
  expect_wrong("never sent");
}

TEST_F(VerdictTest, AStrangerInTheLedgerIsFound) {
  ledgers_["a"]["q"].last = ledgers_["a"]["q"].applied = 1;
  expect_wrong("never posted");
}

TEST_F(VerdictTest, ReplyThatContradictsTheStateIsFound) {
  say(Step::Kind::call_done, 3, 2);
  expect_wrong("was told 2 in reply to call 3");
}

TEST_F(VerdictTest, RepliesCountOnlyWhatWasAppliedBefore) {
  say(Step::Kind::intent, 4);
  say(Step::Kind::call_done, 4, 3);
  account() = {4, 3, 0, {3}, 0};
  expect_right();
}

TEST_F(VerdictTest, AReplyOfAnotherMessageIsFound) {
  say(Step::Kind::wrong_reply, 3);
  expect_wrong("another message's reply");
}

TEST_F(VerdictTest, SentOnAndNotArrivedIsFound) {
  account().forwarded = 2;
  expect_wrong("sent on 2 posts, and the total has 0");
  total_["a p"].last = 2;
  total_["a p"].applied = 2;
  expect_right();
}

TEST_F(VerdictTest, ArrivedTwiceIsFound) {
  account().forwarded = 1;
  total_["a p"] = {1, 1, 1, {}, 0};
  expect_wrong("1 repeated");
}

TEST_F(VerdictTest, ArrivedAndNeverSentIsFound) {
  total_["b p"] = {1, 1, 0, {}, 0};
  expect_wrong("never sent anything on");
}

}  // namespace
}  // namespace semper::testing
