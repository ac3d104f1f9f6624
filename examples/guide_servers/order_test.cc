// An order with every fault at every point: the card is charged once, goods come back once.
#include "order.h"

#include <gtest/gtest.h>

#include "semper/testing/harness.h"

namespace guide {
namespace {

using semper::testing::Harness;

// Knows the orders that it has charged, as the provider of the guide does. It is outside of every
// process.
class KnowingProvider : public PaymentProvider {
 public:
  explicit KnowingProvider(Harness& harness) : harness_(harness) {}
  semper::Result<std::string> charge(const std::string& order, std::int64_t,
                                     std::uint64_t) override {
    if (harness_.times("charged " + order) == 0) harness_.happened("charged " + order);
    return "receipt of " + order;
  }

 private:
  Harness& harness_;
};

TEST(OrderTest, no_fault_at_any_point_charges_twice_or_loses_goods) {
  Harness harness;
  harness.serve<Stock>();
  harness.serve<Order>([&harness] {
    return std::make_shared<Order>(std::make_shared<KnowingProvider>(harness),
                                   [](const std::string&) {});
  });
  harness.check("what was cancelled is in stock", [](Harness& h) -> semper::Status {
    const auto order = h.state(h.ref<Order>("1001"));
    const auto stock = h.state(h.ref<Stock>("chair"));
    const std::int64_t ordered = order ? order->amount : 0;
    const std::int64_t available = stock ? stock->available : 0;
    const bool was_placed = order && !order->article.empty();
    if (ordered + available == (was_placed ? 3 : 0)) return {};
    return semper::fail(semper::ErrorKind::internal, "goods were lost or made");
  });
  harness.check("one charge", [](Harness& h) -> semper::Status {
    const auto order = h.state(h.ref<Order>("1001"));
    if (order && !order->receipt.empty() && h.times("charged 1001") != 1) {
      return semper::fail(semper::ErrorKind::internal, "a receipt without one charge");
    }
    return {};
  });
  const auto report = harness.explore([&] {
    const auto order = harness.ref<Order>("1001");
    static_cast<void>(harness.cast<Order::Place>(order, "chair", 3));
    static_cast<void>(harness.call<Order::Pay>(order, 4900));
    static_cast<void>(harness.call<Order::Cancel>(order));
  });
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_GT(report.runs, 100u);
}

}  // namespace
}  // namespace guide
