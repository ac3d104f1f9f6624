#include "bank.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "semper/env/one_shot.h"

namespace bank {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::size_t kAccounts = 5;
constexpr std::int64_t kAmount = 50;
constexpr auto kAllPaidIn = static_cast<std::int64_t>(kAccounts) * kAmount;
constexpr auto kLimit = std::chrono::seconds(20);

class BankTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_.emplace(scheduler_.block_on(semper::open_store("memory:")).value());
    host_.emplace(*store_);
    host_->serve<Account>();
    ASSERT_TRUE(scheduler_.block_on(host_->start()));
    ASSERT_TRUE(scheduler_.block_on(open_accounts(*store_, kAccounts, kAmount)));
  }
  void TearDown() override { ASSERT_TRUE(scheduler_.block_on(host_->stop())); }

  Account::Receipt transfer(const std::string& from, const Account::Transfer& what) {
    const auto account = semper::ref<Account>(*store_, from);
    return scheduler_.block_on(account.call(what)).value();
  }
  Audit audited() { return scheduler_.block_on(audit(*store_, kAllPaidIn, kLimit)).value(); }

  semper::Scheduler scheduler_;
  std::optional<semper::Store> store_;
  std::optional<semper::Host> host_;
};

TEST_F(BankTest, no_more_is_sent_than_there_is) {
  EXPECT_TRUE(transfer("000", {"001", 50}).done);
  EXPECT_FALSE(transfer("000", {"001", 1}).done);
  EXPECT_FALSE(transfer("001", {"002", -5}).done) << "a negative amount takes from the receiver";
  EXPECT_FALSE(transfer("001", {"001", 5}).done);
  const Audit found = audited();
  EXPECT_THAT(found.wrong, IsEmpty());
  EXPECT_EQ(found.sent, 1u);
}

TEST_F(BankTest, an_account_that_is_opened_again_is_not_paid_into_again) {
  ASSERT_TRUE(scheduler_.block_on(open_accounts(*store_, kAccounts, kAmount)));
  EXPECT_EQ(audited().balances, kAllPaidIn);
}

TEST_F(BankTest, clerks_at_once_lose_no_money) {
  constexpr int kClerks = 8;
  constexpr std::uint64_t kTransfers = 300;
  semper::StopSource stop;
  std::vector<semper::OneShot<Work>> ends(kClerks);
  for (int i = 0; i < kClerks; ++i) {
    asio::co_spawn(
        scheduler_.executor(),
        [](semper::Store store, semper::StopToken token, std::uint64_t seed,
           semper::OneShot<Work> end) -> semper::Task<void> {
          semper::SeededRandom random(seed);
          end.set(co_await transfer_at_random(store, kAccounts, random, token));
        }(*store_, stop.get_token(), static_cast<std::uint64_t>(i), ends[static_cast<size_t>(i)]),
        asio::detached);
  }
  while (scheduler_.block_on(add_up(*store_)).value().sent < kTransfers) {
  }
  stop.request_stop();
  std::uint64_t done = 0;
  for (auto& end : ends) done += scheduler_.block_on(end.wait()).value().done;
  const Audit found = audited();
  EXPECT_THAT(found.wrong, IsEmpty());
  EXPECT_EQ(found.balances, kAllPaidIn);
  EXPECT_EQ(found.sent, done);
}

TEST_F(BankTest, standing_orders_pay_as_often_as_they_say) {
  constexpr std::uint64_t kTimes = 4;
  const std::chrono::milliseconds period(1);
  ASSERT_TRUE(scheduler_.block_on(order_payments(*store_, kAccounts, period, kTimes)));
  const Audit found = audited();
  EXPECT_THAT(found.wrong, IsEmpty());
  EXPECT_EQ(found.ordered, kAccounts * kTimes);
  EXPECT_EQ(found.sent, kAccounts * kTimes);
}

TEST_F(BankTest, an_order_that_was_ended_pays_nothing) {
  const auto account = semper::ref<Account>(*store_, "000");
  const Account::StandingOrder never{"rent", "001", 1, 3'600'000, 12};
  ASSERT_TRUE(scheduler_.block_on(account.call(never)).value());
  EXPECT_EQ(scheduler_.block_on(add_up(*store_)).value().orders, 1u);
  ASSERT_TRUE(
      scheduler_.block_on(account.call(Account::StandingOrder{"rent", "", 0, 0, 0})).value());
  EXPECT_EQ(audited().ordered, 0u);
  EXPECT_FALSE(
      scheduler_.block_on(account.call(Account::StandingOrder{"x", "000", 1, 1, 1})).value());
}

TEST_F(BankTest, an_order_by_the_calendar_needs_a_schedule) {
  const auto account = semper::ref<Account>(*store_, "000");
  const Account::CalendarOrder monthly{"rent", "001", 1, "0 9 1 * *", "Europe/Berlin", 12};
  EXPECT_TRUE(scheduler_.block_on(account.call(monthly)).value());
  EXPECT_EQ(scheduler_.block_on(add_up(*store_)).value().orders, 1u);
  const Account::CalendarOrder none{"x", "001", 1, "often", "Europe/Berlin", 12};
  EXPECT_FALSE(scheduler_.block_on(account.call(none)).value());
  const Account::CalendarOrder nowhere{"x", "001", 1, "0 9 1 * *", "Europe/Atlantis", 12};
  EXPECT_FALSE(scheduler_.block_on(account.call(nowhere)).value());
  EXPECT_EQ(scheduler_.block_on(add_up(*store_)).value().orders, 1u);
}

TEST_F(BankTest, a_transfer_at_once_changes_both_accounts_or_none) {
  const auto at_once = [&](const std::string& from, const std::string& to, std::int64_t amount) {
    return scheduler_.block_on(transfer_at_once(*store_, from, to, amount)).value();
  };
  EXPECT_TRUE(at_once("000", "001", 20));
  EXPECT_TRUE(transfer("001", {"000", 5}).done);
  EXPECT_TRUE(at_once("001", "000", 65));
  EXPECT_FALSE(at_once("001", "000", 1)) << "there is nothing left";
  EXPECT_FALSE(at_once("000", "000", 1));
  EXPECT_FALSE(at_once("000", "001", -1)) << "a negative amount takes from the receiver";
  const Audit found = audited();
  EXPECT_THAT(found.wrong, IsEmpty());
  EXPECT_EQ(found.sent, 3u);
  EXPECT_EQ(found.lines, kAccounts + 3 * 2);
  EXPECT_THAT(scheduler_.block_on(last_lines(*store_, "001", 1)).value(),
              ElementsAre("4  000  -65  0"));
}

TEST_F(BankTest, a_statement_has_every_line_and_lists_the_last_ones_first) {
  EXPECT_TRUE(transfer("000", {"001", 20}).done);
  EXPECT_TRUE(transfer("000", {"002", 5}).done);
  const Audit found = audited();
  EXPECT_THAT(found.wrong, IsEmpty());
  EXPECT_EQ(found.lines, kAccounts + 2 * 2);
  EXPECT_THAT(scheduler_.block_on(last_lines(*store_, "000", 2)).value(),
              ElementsAre("3  002  -5  25", "2  001  -20  30"));
}

TEST_F(BankTest, an_audit_notices_money_that_was_made) {
  const auto account = semper::ref<Account>(*store_, "000");
  ASSERT_TRUE(scheduler_.block_on(account.cast(Account::Receive{"nobody", 1, 10})));
  const auto lost = scheduler_.block_on(audit(*store_, kAllPaidIn, std::chrono::seconds(0)));
  ASSERT_FALSE(lost) << "a transfer that nobody sent has come";
  EXPECT_THAT(lost.error().message(), HasSubstr("1 of 0 transfers have come"));
}

TEST_F(BankTest, an_audit_notices_a_wrong_sum) {
  const auto found = scheduler_.block_on(audit(*store_, kAllPaidIn + 1, kLimit)).value();
  EXPECT_THAT(found.wrong, ElementsAre("the balances are 250, and 251 were paid in"));
}

TEST_F(BankTest, an_audit_notices_transfers_out_of_order) {
  const auto account = semper::ref<Account>(*store_, "000");
  ASSERT_TRUE(scheduler_.block_on(account.cast(Account::Receive{"001", 2, 0})));
  const auto found = scheduler_.block_on(add_up(*store_)).value();
  EXPECT_THAT(found.wrong, ElementsAre(HasSubstr("got 1 transfers twice or out of order")));
}

}  // namespace
}  // namespace bank
