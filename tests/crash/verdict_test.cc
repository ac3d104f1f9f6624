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

TEST_F(VerdictTest, a_post_without_an_answer_may_be_there) {
  expect_right();
  const auto verdict = judge(steps_, ledgers_, total_);
  EXPECT_EQ(verdict.acknowledged, 2u);
  EXPECT_EQ(verdict.open, 1u);
  EXPECT_EQ(verdict.open_applied, 1u);
}

TEST_F(VerdictTest, a_post_without_an_answer_may_be_absent) {
  account().last = account().applied = 2;
  expect_right();
}

TEST_F(VerdictTest, a_lost_last_post_is_found) {
  account().last = account().applied = 1;
  expect_wrong("lost acknowledged post 2");
}

TEST_F(VerdictTest, a_lost_post_in_the_middle_is_found) {
  account().applied = 2;
  account().missed = {2};
  expect_wrong("lost acknowledged post 2");
}

TEST_F(VerdictTest, a_ledger_that_is_gone_is_found) {
  ledgers_.clear();
  expect_wrong("lost acknowledged post 1");
}

TEST_F(VerdictTest, a_post_applied_twice_is_found) {
  account().repeats = 1;
  expect_wrong("applied twice or out of order");
}

TEST_F(VerdictTest, a_refused_post_that_is_there_is_found) {
  say(Step::Kind::refused, 3);
  expect_wrong("which was refused");
}

TEST_F(VerdictTest, a_post_that_nobody_sent_is_found) {
  account().last = account().applied = 4;
  expect_wrong("never sent");
}

TEST_F(VerdictTest, a_stranger_in_the_ledger_is_found) {
  ledgers_["a"]["q"].last = ledgers_["a"]["q"].applied = 1;
  expect_wrong("never posted");
}

TEST_F(VerdictTest, a_reply_that_contradicts_the_state_is_found) {
  say(Step::Kind::call_done, 3, 2);
  expect_wrong("was told 2 in reply to call 3");
}

TEST_F(VerdictTest, replies_count_only_what_was_applied_before) {
  say(Step::Kind::intent, 4);
  say(Step::Kind::call_done, 4, 3);
  account() = {4, 3, 0, {3}, 0};
  expect_right();
}

TEST_F(VerdictTest, a_reply_of_another_message_is_found) {
  say(Step::Kind::wrong_reply, 3);
  expect_wrong("another message's reply");
}

TEST_F(VerdictTest, a_post_sent_on_that_did_not_arrive_is_found) {
  account().forwarded = 2;
  expect_wrong("sent on 2 posts, and the total has 0");
  total_["a p"].last = 2;
  total_["a p"].applied = 2;
  expect_right();
}

TEST_F(VerdictTest, a_post_that_arrived_twice_is_found) {
  account().forwarded = 1;
  total_["a p"] = {1, 1, 1, {}, 0};
  expect_wrong("1 repeated");
}

TEST_F(VerdictTest, a_post_that_arrived_and_was_never_sent_is_found) {
  total_["b p"] = {1, 1, 0, {}, 0};
  expect_wrong("never sent anything on");
}

}  // namespace
}  // namespace semper::testing
