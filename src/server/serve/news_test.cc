#include "server/serve/news.h"

#include <gtest/gtest.h>

#include <optional>

#include "semper/testing/simulated_run.h"

namespace semper::internal {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;

TEST(News, a_waiter_leaves_the_list_however_its_wait_ends) {
  SimulatedClock clock;
  News news;
  auto wait = [&]() -> Task<bool> {
    auto place = news.next();
    auto waited = co_await place.event().wait_until(clock, clock.after(5s));
    co_return waited.has_value();
  };
  for (int round = 0; round < 100; ++round) {
    EXPECT_FALSE(simulated_run(clock, wait())) << "nothing happened";
  }
  EXPECT_EQ(news.waiting(), 0u) << "after deadlines";
  {
    asio::io_context doomed(1);
    asio::co_spawn(doomed, wait(), asio::detached);
    doomed.poll();
    EXPECT_EQ(news.waiting(), 1u);
  }
  EXPECT_EQ(news.waiting(), 0u) << "after its loop was destroyed";
  clock.call_at(clock.after(1s), [&] { news.announce(); });
  EXPECT_TRUE(simulated_run(clock, wait()));
  EXPECT_EQ(news.waiting(), 0u) << "after the news";
}

TEST(News, what_happens_between_asking_and_waiting_is_not_missed) {
  SimulatedClock clock;
  News news;
  auto place = news.next();
  news.announce();
  EXPECT_TRUE(simulated_run(clock, place.event().wait_until(clock, clock.after(5s))));
}

TEST(News, a_place_may_outlive_the_news) {
  std::optional<News::Place> place;
  {
    News news;
    place.emplace(news.next());
  }
  EXPECT_FALSE(place->event().is_set());
}

}  // namespace
}  // namespace semper::internal
