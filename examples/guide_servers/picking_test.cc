// What the guide says of lists and sets.
#include "picking.h"

#include <gtest/gtest.h>

#include <vector>

#include "semper/env/scheduler.h"

namespace guide {
namespace {

using semper::Task;

TEST(PickingTest, an_order_that_is_preferred_is_picked_before_the_others) {
  semper::Scheduler scheduler;
  const auto whole = []() -> Task<void> {
    auto shop = co_await semper::open_store("memory:");
    EXPECT_TRUE(shop);
    semper::HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    semper::Host host(*shop, options);
    host.serve<Picking>();
    EXPECT_TRUE(co_await host.start());
    const auto packer = semper::ref<Picking>(*shop, "pat");

    std::vector<semper::ListPlace> places;
    for (const char* order : {"17", "18", "19"}) {
      auto place = co_await packer.call<Picking::Add>(order);
      EXPECT_TRUE(place);
      if (place) places.push_back(*place);
    }
    EXPECT_TRUE(co_await packer.call<Picking::Prefer>(places.at(2), places.at(0)));
    const auto next = co_await Picking::kOrders.page(packer, 1);
    EXPECT_TRUE(next && next->entries.at(0).value == "19" && next->more);

    const auto first = co_await packer.call<Picking::Pause>("18");
    const auto again = co_await packer.call<Picking::Pause>("18");
    EXPECT_TRUE(first && *first && again && !*again);
    EXPECT_TRUE(co_await host.stop());
  };
  scheduler.block_on(whole());
}

}  // namespace
}  // namespace guide
