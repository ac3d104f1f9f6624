// What the guide says of entities that expire, in simulated time.
#include "basket.h"

#include <gtest/gtest.h>

#include "semper/testing/simulated_clock.h"
#include "semper/testing/simulated_run.h"

namespace guide {
namespace {

using namespace std::chrono_literals;
using semper::Task;

TEST(BasketTest, a_basket_that_was_left_behind_returns_its_goods_once) {
  semper::testing::SimulatedClock clock;
  const auto whole = [&]() -> Task<void> {
    semper::StoreOptions in_simulated_time;
    in_simulated_time.env.clock = &clock;
    auto shop = co_await semper::open_store("memory:", in_simulated_time);
    EXPECT_TRUE(shop);
    semper::HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    semper::Host host(*shop, options);
    host.serve<Basket>();
    host.serve<Stock>();
    EXPECT_TRUE(co_await host.start());

    const Basket::Put three{"chair", 3};
    EXPECT_TRUE(co_await semper::ref<Basket>(*shop, "ann").cast(three));
    EXPECT_TRUE(co_await semper::sleep_for(clock, 110min));
    EXPECT_EQ(host.statistics().expired, 0u);
    EXPECT_TRUE(co_await semper::sleep_for(clock, 3h));
    EXPECT_EQ(host.statistics().expired, 1u);
    const Stock::Count count{};
    const auto there = co_await semper::ref<Stock>(*shop, "chair").call(count);
    EXPECT_TRUE(there && *there == 3);
    EXPECT_TRUE(co_await host.stop());
  };
  semper::testing::simulated_run(clock, whole());
}

}  // namespace
}  // namespace guide
