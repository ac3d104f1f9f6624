// What the guide says of timers, in simulated time.
#include "offer.h"

#include <gtest/gtest.h>

#include "lessons.h"
#include "semper/server/list_timers.h"
#include "semper/testing/simulated_clock.h"
#include "semper/testing/simulated_run.h"

namespace guide {
namespace {

using namespace std::chrono_literals;
using semper::Task;
using semper::testing::simulated_run;
using semper::testing::SimulatedClock;

class OfferTest : public ::testing::Test {
 protected:
  void run(std::function<Task<void>(semper::Store)> body) {
    const auto whole = [&]() -> Task<void> {
      semper::StoreOptions in_simulated_time;
      in_simulated_time.env.clock = &clock_;
      auto shop = co_await semper::open_store("memory:", in_simulated_time);
      EXPECT_TRUE(shop);
      semper::HostOptions options;
      options.executor = co_await asio::this_coro::executor;
      semper::Host host(*shop, options);
      host.serve<Offer>();
      EXPECT_TRUE(co_await host.start());
      co_await body(*shop);
      EXPECT_TRUE(co_await host.stop());
    };
    simulated_run(clock_, whole());
  }

  static Task<Offer::State> state_of(semper::Store shop, std::string id) {
    const semper::EntityId entity{"Offer", id};
    auto view = co_await semper::inspect(shop, entity);
    EXPECT_TRUE(view && view->state);
    co_return *semper::decode<Offer::State>(*view->state);
  }

  SimulatedClock clock_;
};

TEST_F(OfferTest, an_offer_that_nobody_accepts_reminds_and_expires) {
  run([this](semper::Store shop) -> Task<void> {
    auto offer = semper::ref<Offer>(shop, "17");
    const Offer::Make make{4900, 24};
    EXPECT_TRUE(co_await offer.cast(make));
    auto due = co_await due_soon(shop);
    EXPECT_TRUE(due);
    EXPECT_EQ(due->size(), 1u) << "the first reminder";
    EXPECT_TRUE(co_await semper::sleep_for(clock_, 25h));
    const auto state = co_await state_of(shop, "17");
    EXPECT_EQ(state.phase, Offer::Phase::expired);
    EXPECT_GE(state.reminders, 2u);
    const auto left = co_await semper::list_due(shop, "Offer");
    EXPECT_TRUE(left && left->empty());
  });
}

TEST_F(OfferTest, an_accepted_offer_neither_reminds_nor_expires) {
  run([this](semper::Store shop) -> Task<void> {
    auto offer = semper::ref<Offer>(shop, "17");
    const Offer::Make make{4900, 24};
    EXPECT_TRUE(co_await offer.cast(make));
    const Offer::Accept accept;
    auto price = co_await offer.call(accept);
    EXPECT_TRUE(price && *price == 4900);
    EXPECT_TRUE(co_await semper::sleep_for(clock_, 48h));
    const auto state = co_await state_of(shop, "17");
    EXPECT_EQ(state.phase, Offer::Phase::accepted);
    EXPECT_EQ(state.reminders, 0u);
  });
}

TEST_F(OfferTest, a_delayed_cast_comes_when_it_is_due) {
  run([this](semper::Store shop) -> Task<void> {
    EXPECT_TRUE(co_await offer_tomorrow(shop, "18"));
    EXPECT_TRUE(co_await offer_once(shop, "19", "request 7"));
    EXPECT_TRUE(co_await offer_once(shop, "19", "request 7"));
    EXPECT_TRUE(co_await semper::sleep_for(clock_, 23h));
    const semper::EntityId entity{"Offer", "18"};
    auto early = co_await semper::inspect(shop, entity);
    EXPECT_TRUE(early && !early->state);
    EXPECT_TRUE(co_await semper::sleep_for(clock_, 2h));
    const auto state = co_await state_of(shop, "18");
    EXPECT_EQ(state.phase, Offer::Phase::open);
  });
}

}  // namespace
}  // namespace guide
