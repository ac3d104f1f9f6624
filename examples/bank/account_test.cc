// An account with every fault at every point: what bank_test.cc checks while nothing breaks.
#include "account.h"

#include <gtest/gtest.h>

#include "semper/testing/harness.h"

namespace bank {
namespace {

using semper::testing::Harness;

constexpr std::int64_t kPaidIn = 50;

semper::Status broken(const std::string& what) {
  return semper::fail(semper::ErrorKind::internal, what);
}

// Whatever breaks: nothing is overdrawn, comes twice, is lost or made.
void watch_the_money(Harness& harness) {
  harness.serve<Account>();
  harness.invariant<Account>([](const Account::State& account) -> semper::Status {
    if (account.balance < 0) return broken("it is overdrawn");
    return account.disorder == 0 ? semper::Status() : broken("a transfer came twice or too early");
  });
  harness.check("the sum is what was paid in", [](Harness& h) -> semper::Status {
    std::int64_t sum = 0;
    std::int64_t paid_in = 0;
    std::uint64_t under_way = 0;
    for (const auto& [id, account] : h.states<Account>()) {
      sum += account.balance;
      paid_in += account.opened ? kPaidIn : 0;
      under_way += account.sent - account.received;
    }
    if (under_way != 0) return broken("a transfer left and never came");
    return sum == paid_in ? semper::Status() : broken("the balances are " + std::to_string(sum));
  });
}

TEST(AccountTest, a_fault_at_any_point_of_two_transfers_neither_makes_nor_loses_money) {
  Harness harness;
  watch_the_money(harness);
  const auto report = harness.explore([&] {
    const auto account = harness.ref<Account>("000");
    static_cast<void>(harness.call<Account::Open>(account, kPaidIn));
    static_cast<void>(harness.call<Account::Transfer>(account, "001", 30));
    static_cast<void>(harness.call<Account::Transfer>(account, "001", 5));
  });
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_GT(report.runs, 100u);
}

TEST(AccountTest, a_standing_order_pays_as_often_as_it_says_whatever_fails) {
  Harness harness;
  watch_the_money(harness);
  const auto report = harness.explore([&] {
    const auto account = harness.ref<Account>("000");
    static_cast<void>(harness.call<Account::Open>(account, kPaidIn));
    const auto ordered = harness.call<Account::StandingOrder>(account, "rent", "001", 20, 1000, 3);
    harness.advance(std::chrono::seconds(10));
    ASSERT_TRUE(harness.settle());
    if (!ordered) return;  // perhaps it was heard, and perhaps the account was not opened
    const auto state = harness.state(account);
    EXPECT_EQ(state->paid + state->bounced, 3u);
    EXPECT_EQ(state->bounced, state->opened ? 1u : 3u);
  });
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_GT(report.runs, 100u);
}

TEST(AccountTest, an_order_by_the_calendar_pays_as_often_as_it_says_whatever_fails) {
  Harness harness;
  watch_the_money(harness);
  const auto report = harness.explore([&] {
    const auto account = harness.ref<Account>("000");
    static_cast<void>(harness.call<Account::Open>(account, kPaidIn));
    const auto ordered = harness.call<Account::CalendarOrder>(account, "rent", "001", 20,
                                                              "* * * * * *", "Europe/Berlin", 3);
    harness.advance(std::chrono::seconds(10));
    ASSERT_TRUE(harness.settle());
    if (!ordered) return;  // perhaps it was heard, and perhaps the account was not opened
    const auto state = harness.state(account);
    EXPECT_EQ(state->paid + state->bounced, 3u);
    EXPECT_EQ(state->bounced, state->opened ? 1u : 3u);
  });
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_GT(report.runs, 100u);
}

// Open may be asked for again: that is how open_accounts answers an unknown outcome.
TEST(AccountTest, an_account_that_is_opened_until_somebody_answers_is_paid_into_once) {
  Harness harness;
  harness.serve<Account>();
  const auto report = harness.explore([&] {
    const auto account = harness.ref<Account>("000");
    while (!harness.call<Account::Open>(account, kPaidIn)) {
    }
    ASSERT_TRUE(harness.settle());
    EXPECT_EQ(harness.state(account)->balance, kPaidIn);
  });
  EXPECT_TRUE(report.passed()) << report;
}

}  // namespace
}  // namespace bank
