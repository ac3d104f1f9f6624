// The harness without faults: calling, looking, time.
#include "semper/testing/harness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing/harness/harness_test_support.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class HarnessTest : public ::testing::TestWithParam<HarnessPath> {
 protected:
  HarnessTest() : harness_({.paths = {GetParam()}}) { harness_.serve<Purse>(); }

  Harness harness_;
};

TEST_P(HarnessTest, a_call_returns_what_the_behaviour_replies) {
  const auto purse = harness_.ref<Purse>("a");
  EXPECT_EQ(harness_.call<Purse::Put>(purse, 2).value(), 2);
  ASSERT_TRUE(harness_.cast<Purse::Add>(purse, 3));
  EXPECT_EQ(harness_.call<Purse::Put>(purse, 5).value(), 10);
  EXPECT_EQ(harness_.state(purse)->coins, 10);
  EXPECT_THAT(harness_.states<Purse>(), SizeIs(1));
}

TEST_P(HarnessTest, an_info_reaches_the_host) {
  const auto purse = harness_.ref<Purse>("a");
  ASSERT_TRUE(harness_.info<Purse::Add>(purse, 3));
  EXPECT_EQ(harness_.state(purse)->coins, 3);
}

TEST_P(HarnessTest, an_error_that_is_replied_comes_back_as_it_is) {
  const auto refused = harness_.call<Purse::Send>(harness_.ref<Purse>("a"), "b", 5);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "only 0 there");
}

TEST_P(HarnessTest, casts_that_a_callback_sent_are_seen_though_nobody_serves_them) {
  const auto purse = harness_.ref<Purse>("a");
  ASSERT_TRUE(harness_.call<Purse::Put>(purse, 9));
  ASSERT_TRUE(harness_.call<Purse::Report>(purse, "main"));
  const auto ledger = harness_.ref<Ledger>("main");
  const auto sent = harness_.sent<Ledger::Booked>(ledger);
  ASSERT_THAT(sent, SizeIs(1));
  EXPECT_EQ(sent[0].amount, 9);
  EXPECT_THAT(harness_.queue(ledger), SizeIs(1));
}

TEST_P(HarnessTest, an_action_is_named_when_it_has_run) {
  ASSERT_TRUE(harness_.call<Purse::Put>(harness_.ref<Purse>("a"), 1));
  ASSERT_TRUE(harness_.settle());
  EXPECT_THAT(harness_.actions(), ElementsAre("Purse/a Put"));
}

TEST_P(HarnessTest, time_passes_only_where_the_test_says_so) {
  const auto before = harness_.now();
  ASSERT_TRUE(harness_.call<Purse::Put>(harness_.ref<Purse>("a"), 1));
  EXPECT_LT(harness_.now() - before, 1s);
  harness_.advance(1h);
  EXPECT_GE(harness_.now() - before, 1h);
  EXPECT_LT(harness_.now() - before, 1h + 1s);
}

TEST_P(HarnessTest, a_reply_that_comes_later_is_waited_for) {
  const auto purse = harness_.ref<Purse>("a");
  auto waiting = harness_.begin_call<Purse::PutWhenAsked>(purse, 4);
  ASSERT_TRUE(harness_.settle());
  EXPECT_FALSE(waiting.is_answered());
  ASSERT_TRUE(harness_.cast<Purse::Ask>(purse));
  EXPECT_EQ(harness_.wait(waiting).value(), 4);
}

TEST_P(HarnessTest, a_state_survives_the_process_and_what_was_in_its_members_does_not) {
  const auto purse = harness_.ref<Purse>("a");
  ASSERT_TRUE(harness_.call<Purse::Put>(purse, 7));
  EXPECT_EQ(harness_.call<Purse::CallsSeen>(purse).value(), 2);
  harness_.crash();
  EXPECT_EQ(harness_.call<Purse::Put>(purse, 1).value(), 8);
  EXPECT_EQ(harness_.call<Purse::CallsSeen>(purse).value(), 2);
}

TEST_P(HarnessTest, a_message_that_fails_is_a_dead_letter_with_its_reason) {
  const auto purse = harness_.ref<Purse>("a");
  static_cast<void>(harness_.cast<Purse::Add>(purse, -1));
  ASSERT_TRUE(harness_.settle());
  const auto letters = harness_.dead_letters(purse);
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_THAT(letters[0].reason, HasSubstr("less than nothing"));
}

TEST_P(HarnessTest, a_part_of_the_program_runs_in_the_process) {
  const auto sum = harness_.run("two puts", [](Tenant tenant) -> Async<std::int64_t> {
    const auto purse = semper::ref<Purse>(tenant, "a");
    SEMPER_CO_TRY_STATUS(co_await purse.cast<Purse::Add>(1));
    SEMPER_CO_TRY(const auto now, co_await purse.call<Purse::Put>(2));
    co_return now;
  });
  EXPECT_EQ(sum.value(), 3);
}

TEST_P(HarnessTest, what_has_happened_can_be_read) {
  ASSERT_TRUE(harness_.call<Purse::Put>(harness_.ref<Purse>("a"), 2));
  std::string all;
  for (const auto& line : harness_.history()) all += line + "\n";
  EXPECT_THAT(all, HasSubstr("call Purse/a Put [2]"));
  EXPECT_THAT(all, HasSubstr("Purse/a handle_call Put [2]: replies 2"));
  EXPECT_THAT(all, HasSubstr("the state of Purse/a"));
}

INSTANTIATE_TEST_SUITE_P(On, HarnessTest,
                         ::testing::Values(HarnessPath::direct, HarnessPath::queued),
                         [](const auto& path) {
                           return path.param == HarnessPath::direct ? "direct" : "queued";
                         });

TEST(HarnessMistakes, an_invariant_of_a_type_that_is_not_served_is_refused) {
  Harness harness;
  EXPECT_THROW(harness.invariant<Purse>([](const auto&) { return Status(); }), std::logic_error);
}

TEST(HarnessMistakes, a_call_that_nobody_answers_times_out_and_is_named) {
  Harness harness;  // serves nothing
  const auto answer = harness.call<Purse::Put>(harness.ref<Purse>("a"), 1);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::timeout);
  EXPECT_THAT(answer.error().message(), HasSubstr("call Purse/a Put [1]"));
}

TEST(HarnessMistakes, the_name_of_a_run_that_does_not_exist_is_reported) {
  Harness harness;
  harness.serve<Purse>();
  harness.only("queued:flood@3");
  const auto report = harness.explore([] {});
  EXPECT_THAT(report.to_string(), HasSubstr("names no run"));
}

}  // namespace
}  // namespace semper::testing
