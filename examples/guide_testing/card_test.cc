// The tests that the guide to testing (docs/guide-testing.md) quotes.
#include "card.h"

#include <gtest/gtest.h>

#include "semper/testing/harness.h"

namespace guide {
namespace {

using semper::testing::Harness;

TEST(CardTest, pays_an_invoice) {
  Harness harness;
  harness.serve<Card>();
  const auto card = harness.ref<Card>("gift");
  EXPECT_EQ(harness.call<Card::Load>(card, 50).value(), 50);
  EXPECT_EQ(harness.call<Card::Pay>(card, "1001", 20).value(), 30);
  const auto invoice = harness.ref<Invoice>("1001");
  ASSERT_EQ(harness.sent<Invoice::Paid>(invoice).size(), 1u);
  EXPECT_EQ(harness.sent<Invoice::Paid>(invoice)[0].cents, 20);
}

TEST(CardTest, pays_no_more_than_there_is) {
  Harness harness;
  harness.serve<Card>();
  const auto refused = harness.call<Card::Pay>(harness.ref<Card>("gift"), "1001", 20);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "only 0 cents are left");
}

semper::Status every_cent_is_somewhere(Harness& harness) {
  std::int64_t loaded = 0, found = 0;
  for (const auto& [id, card] : harness.states<Card>()) {
    loaded += card.loaded;
    found += card.cents;
  }
  for (const auto& [id, invoice] : harness.states<Invoice>()) found += invoice.paid;
  if (found == loaded) return {};
  return semper::fail(semper::ErrorKind::internal,
                      std::to_string(loaded) + " loaded, " + std::to_string(found) + " found");
}

void serve_both(Harness& harness) {
  harness.serve<Card>();
  harness.serve<Invoice>([&harness] {
    return std::make_shared<Invoice>(
        [&harness](const std::string& invoice) { harness.happened("receipt for " + invoice); });
  });
}

TEST(CardTest, loses_no_cent_whatever_happens) {
  Harness harness;
  serve_both(harness);
  harness.invariant<Card>([](const auto& card) -> semper::Status {
    if (card.cents >= 0) return {};
    return semper::fail(semper::ErrorKind::internal, "the card is overdrawn");
  });
  harness.check("every cent is somewhere", every_cent_is_somewhere);
  harness.check("at most one receipt", [](Harness& h) -> semper::Status {
    if (h.times("receipt for 1001") <= 1) return {};
    return semper::fail(semper::ErrorKind::internal, "the customer has two receipts");
  });
  const auto report = harness.explore([&] {
    const auto card = harness.ref<Card>("gift");
    static_cast<void>(harness.call<Card::Load>(card, 50));
    static_cast<void>(harness.call<Card::Pay>(card, "1001", 20));
  });
  EXPECT_TRUE(report.passed()) << report;
}

TEST(CardTest, gets_over_what_went_wrong_in_production) {
  Harness harness;
  serve_both(harness);
  ASSERT_TRUE(harness.load(RECORDINGS "gift.jsonl"));
  harness.check("every cent is somewhere", every_cent_is_somewhere);
  const auto report = harness.explore([] {});
  EXPECT_TRUE(report.passed()) << report;
}

}  // namespace
}  // namespace guide
