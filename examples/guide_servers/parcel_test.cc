// What the guide says of limits, in simulated time.
#include "parcel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "semper/testing/simulated_clock.h"
#include "semper/testing/simulated_run.h"

namespace guide {
namespace {

using namespace std::chrono_literals;
using semper::Task;

// Takes a while, and counts.
class SlowCarriers final : public Carriers {
 public:
  explicit SlowCarriers(semper::Clock& clock) : clock_(clock) {}

  semper::Async<std::string> announce(const std::string& parcel) override {
    const std::string carrier = parcel.substr(0, parcel.find('/'));
    most_ = std::max(most_, ++running_[carrier]);
    most_of_all_ = std::max(most_of_all_, ++running_of_all_);
    SEMPER_CO_TRY_STATUS(co_await semper::sleep_for(clock_, 200ms));
    --running_[carrier];
    --running_of_all_;
    ++announced_[carrier];
    co_return "track " + parcel;
  }
  int announced(const std::string& carrier) { return announced_[carrier]; }
  int most() const { return most_; }
  int most_of_all() const { return most_of_all_; }

 private:
  semper::Clock& clock_;
  std::map<std::string, int> running_;
  std::map<std::string, int> announced_;
  int most_ = 0;
  int running_of_all_ = 0;
  int most_of_all_ = 0;
};

TEST(ParcelTest, a_carrier_gets_no_more_at_a_time_and_no_more_often_than_it_allows) {
  semper::testing::SimulatedClock clock;
  const auto whole = [&]() -> Task<void> {
    semper::StoreOptions in_simulated_time;
    in_simulated_time.env.clock = &clock;
    auto shop = co_await semper::open_store("memory:", in_simulated_time);
    EXPECT_TRUE(shop);
    semper::HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    SlowCarriers carriers(clock);
    semper::Host host(*shop, options);
    host.serve(std::make_shared<Parcel>(carriers));
    EXPECT_TRUE(co_await host.start());

    const Parcel::Announce message{};
    for (int i = 0; i < 40; ++i) {
      const std::string id = "blue/" + std::to_string(i);
      EXPECT_TRUE(co_await semper::ref<Parcel>(*shop, id).cast(message));
    }
    EXPECT_TRUE(co_await semper::ref<Parcel>(*shop, "red/1").cast(message));
    EXPECT_TRUE(co_await semper::sleep_for(clock, 1s));
    EXPECT_EQ(carriers.announced("red"), 1);
    EXPECT_TRUE(co_await semper::sleep_for(clock, 9s));
    EXPECT_GE(carriers.announced("blue"), 10);
    EXPECT_LE(carriers.announced("blue"), 21);
    EXPECT_TRUE(co_await semper::sleep_for(clock, 50s));
    EXPECT_EQ(carriers.announced("blue"), 40);
    EXPECT_EQ(carriers.most(), 2);
    EXPECT_TRUE(co_await host.stop());
  };
  semper::testing::simulated_run(clock, whole());
}

TEST(ParcelTest, all_carriers_together_get_no_more_at_a_time_than_the_type_allows) {
  semper::testing::SimulatedClock clock;
  const auto whole = [&]() -> Task<void> {
    semper::StoreOptions in_simulated_time;
    in_simulated_time.env.clock = &clock;
    auto shop = co_await semper::open_store("memory:", in_simulated_time);
    EXPECT_TRUE(shop);
    semper::HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    SlowCarriers carriers(clock);
    semper::Host host(*shop, options);
    host.serve(std::make_shared<Parcel>(carriers));
    EXPECT_TRUE(co_await host.start());
    const Parcel::Announce message{};
    for (const char* carrier : {"blue/", "red/", "green/", "express/"}) {
      for (int i = 0; i < 5; ++i) {
        const std::string id = carrier + std::to_string(i);
        EXPECT_TRUE(co_await semper::ref<Parcel>(*shop, id).cast(message));
      }
    }
    EXPECT_TRUE(co_await semper::sleep_for(clock, 10s));
    EXPECT_EQ(carriers.announced("green"), 5);
    EXPECT_EQ(carriers.most_of_all(), 5);
    EXPECT_EQ(carriers.most(), 2);
    EXPECT_TRUE(co_await host.stop());
  };
  semper::testing::simulated_run(clock, whole());
}

TEST(ParcelTest, a_question_too_many_is_refused_at_once) {
  semper::testing::SimulatedClock clock;
  const auto whole = [&]() -> Task<void> {
    semper::StoreOptions in_simulated_time;
    in_simulated_time.env.clock = &clock;
    auto shop = co_await semper::open_store("memory:", in_simulated_time);
    EXPECT_TRUE(shop);
    semper::HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    semper::Host host(*shop, options);
    host.serve<Quote>();
    EXPECT_TRUE(co_await host.start());
    const auto quote = semper::ref<Quote>(*shop, "blue");
    int refused = 0;
    for (int i = 0; i < 8; ++i) {
      const auto cents = co_await quote.call<Quote::Ask>(1'000);
      if (cents) {
        EXPECT_EQ(*cents, 400);
      } else {
        EXPECT_EQ(cents.error().kind(), semper::ErrorKind::retry);
        ++refused;
      }
    }
    EXPECT_GE(refused, 1);
    EXPECT_LE(refused, 3);
    EXPECT_TRUE(co_await semper::sleep_for(clock, 2s));
    EXPECT_TRUE(co_await quote.call<Quote::Ask>(1'000));
    EXPECT_TRUE(co_await host.stop());
  };
  semper::testing::simulated_run(clock, whole());
}

}  // namespace
}  // namespace guide
