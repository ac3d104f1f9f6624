// What the guide says of timers by the calendar, in simulated time.
#include "till.h"

#include <gtest/gtest.h>

#include "lessons.h"
#include "semper/testing/simulated_clock.h"
#include "semper/testing/simulated_run.h"

namespace guide {
namespace {

using namespace std::chrono_literals;
using semper::Task;

TEST(TillTest, a_till_closes_on_time_and_not_on_holidays) {
  semper::testing::SimulatedClock clock;
  const auto whole = [&]() -> Task<void> {
    semper::StoreOptions in_simulated_time;
    in_simulated_time.env.clock = &clock;
    auto shop = co_await semper::open_store("memory:", in_simulated_time);
    EXPECT_TRUE(shop);
    semper::HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    semper::Host host(*shop, options);
    host.serve<Till>();
    EXPECT_TRUE(co_await host.start());

    auto till = semper::ref<Till>(*shop, "main");
    const Till::Open nowhere{"Europe/Atlantis"};
    EXPECT_FALSE(co_await till.call(nowhere));
    const Till::Open open{"Europe/Berlin"};
    EXPECT_TRUE(co_await till.call(open));
    const auto next = next_closing(clock.wall_time());
    const auto listed = co_await semper::list_due(*shop, "Till");
    EXPECT_TRUE(next && *next && listed && listed->size() == 1);
    EXPECT_EQ(*listed->front().due, **next);

    const auto days = [&]() -> Task<std::size_t> {
      auto view = co_await semper::inspect(*shop, till.entity());
      EXPECT_TRUE(view && view->state);
      co_return semper::decode<Till::State>(*view->state)->days.size();
    };
    // The calendar goes there at once.
    const auto to_the_next_closing = [&]() -> Task<void> {
      const auto closing = next_closing(clock.wall_time());
      EXPECT_TRUE(closing && *closing);
      clock.jump_wall_time(**closing - clock.wall_time());
      EXPECT_TRUE(co_await semper::sleep_for(clock, 10s));
    };
    co_await to_the_next_closing();
    EXPECT_EQ(co_await days(), 1u);
    co_await to_the_next_closing();
    EXPECT_EQ(co_await days(), 2u);
    const Till::Holidays begin{true};
    EXPECT_TRUE(co_await till.cast(begin));
    co_await to_the_next_closing();
    EXPECT_EQ(co_await days(), 2u);
    EXPECT_TRUE(co_await close_now(*shop, "main"));
    EXPECT_TRUE(co_await semper::sleep_for(clock, 10s));
    EXPECT_EQ(co_await days(), 3u);
    const Till::Holidays end{false};
    EXPECT_TRUE(co_await till.cast(end));
    EXPECT_TRUE(co_await semper::sleep_for(clock, 10s));
    EXPECT_EQ(co_await days(), 3u) << "what was due on holidays is not made up for";
    co_await to_the_next_closing();
    EXPECT_EQ(co_await days(), 4u);
    EXPECT_TRUE(co_await host.stop());
  };
  semper::testing::simulated_run(clock, whole());
}

}  // namespace
}  // namespace guide
