#include "semper/durable/bus.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "semper/base/log.h"

namespace semper {
namespace {

using Numbers = std::vector<int>;

TEST(Bus, a_new_subscriber_gets_the_last_value_first) {
  Bus<int> bus;
  Numbers before, after;
  auto early = bus.subscribe([&](int value) { before.push_back(value); });
  EXPECT_EQ(before, Numbers{}) << "nothing was published yet";
  bus.publish(1);
  bus.publish(2);
  auto late = bus.subscribe([&](int value) { after.push_back(value); });
  bus.publish(3);
  EXPECT_EQ(before, (Numbers{1, 2, 3}));
  EXPECT_EQ(after, (Numbers{2, 3}));
  EXPECT_EQ(bus.last(), 3);
}

TEST(Bus, a_subscriber_that_throws_harms_nobody) {
  Bus<int> bus;
  Numbers seen;
  std::vector<std::string> lines;
  set_log_sink(
      [&](LogLevel, std::string_view, std::string_view line) { lines.emplace_back(line); });
  auto bad = bus.subscribe([](int value) {
    if (value == 1) throw std::runtime_error("the subscriber's trouble");
    throw 7;  // NOLINT: not every exception is a std::exception
  });
  auto good = bus.subscribe([&](int value) { seen.push_back(value); });
  bus.publish(1);
  bus.publish(2);
  set_log_sink({});
  EXPECT_EQ(seen, (Numbers{1, 2}));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_NE(lines[0].find("the subscriber's trouble"), std::string::npos);
}

TEST(Bus, unsubscribing_itself_and_others_inside_a_callback_takes_effect_at_once) {
  Bus<int> bus;
  Numbers first, second;
  BusSubscription one, two;
  one = bus.subscribe([&](int value) {
    first.push_back(value);
    one.unsubscribe();
    two.unsubscribe();
  });
  two = bus.subscribe([&](int value) { second.push_back(value); });
  bus.publish(1);
  bus.publish(2);
  EXPECT_EQ(first, Numbers{1});
  EXPECT_EQ(second, Numbers{}) << "it was unsubscribed before its turn";
  EXPECT_EQ(bus.subscribers(), 0u);
}

TEST(Bus, what_is_published_inside_a_callback_comes_after_and_in_one_order_for_all) {
  Bus<int> bus;
  Numbers first, second, third;
  BusSubscription inner;
  auto one = bus.subscribe([&](int value) {
    first.push_back(value);
    if (value != 1) return;
    bus.publish(2);
    inner = bus.subscribe([&](int later) { third.push_back(later); });
    bus.publish(3);
  });
  auto two = bus.subscribe([&](int value) { second.push_back(value); });
  bus.publish(1);
  EXPECT_EQ(first, (Numbers{1, 2, 3}));
  EXPECT_EQ(second, (Numbers{1, 2, 3}));
  EXPECT_EQ(third, (Numbers{2, 3})) << "the last value at the time, then what follows";
}

TEST(Bus, a_callback_that_owns_its_own_subscription_dies_without_a_deadlock) {
  Bus<int> bus;
  auto holder = std::make_shared<BusSubscription>();
  int calls = 0;
  *holder = bus.subscribe([holder, &calls](int) mutable {
    ++calls;
    holder->unsubscribe();
    holder = nullptr;
  });
  holder = nullptr;
  bus.publish(1);
  bus.publish(2);
  EXPECT_EQ(calls, 1);
}

TEST(Bus, a_subscription_may_outlive_the_bus) {
  BusSubscription kept;
  {
    Bus<int> bus;
    kept = bus.subscribe([](int) {});
  }
  kept.unsubscribe();
  kept.unsubscribe();
}

TEST(Bus, past_its_bound_the_newest_waiting_value_is_replaced_and_the_last_one_arrives) {
  Bus<int> bus;
  Numbers seen;
  const int count = static_cast<int>(Bus<int>::kMaxPending) + 10;
  auto heard = bus.subscribe([&](int value) {
    seen.push_back(value);
    if (value != 0) return;
    for (int i = 1; i <= count; ++i) bus.publish(i);
  });
  bus.publish(0);
  EXPECT_EQ(bus.skipped(), 10u);
  ASSERT_EQ(seen.size(), Bus<int>::kMaxPending + 1);
  EXPECT_EQ(seen.back(), count);
}

TEST(Bus, from_many_threads_every_subscriber_sees_one_order_and_none_after_its_end) {
  Bus<int> bus;
  Numbers first, second;
  auto one = bus.subscribe([&](int value) { first.push_back(value); });
  auto two = bus.subscribe([&](int value) { second.push_back(value); });
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&bus, t] {
      for (int i = 0; i < 200; ++i) bus.publish(t * 1000 + i);
    });
  }
  std::atomic<int> calls_after_end{0};
  threads.emplace_back([&] {
    for (int i = 0; i < 200; ++i) {
      std::atomic<bool> ended{false};
      auto brief = bus.subscribe([&](int) { calls_after_end += ended ? 1 : 0; });
      brief.unsubscribe();
      ended = true;
    }
  });
  for (auto& thread : threads) thread.join();
  bus.deliver();
  EXPECT_EQ(first, second);
  EXPECT_EQ(first.size(), 600u);
  EXPECT_EQ(calls_after_end, 0);
}

TEST(Bus, a_subscription_that_ends_inside_a_callback_leaves_nothing_to_be_delivered) {
  Bus<int> bus;
  int called = 0;
  auto outer = bus.subscribe([&](int) {
    const auto token = std::make_shared<int>(0);
    for (int i = 0; i < 10; ++i) {
      auto inner = bus.subscribe([token, &called](int) { ++called; });
      inner.unsubscribe();
      EXPECT_EQ(token.use_count(), 1) << "what was to be delivered to it keeps it";
    }
  });
  bus.publish(1);
  EXPECT_EQ(called, 0);
}

TEST(Bus, a_callback_may_destroy_its_subscription_and_the_bus) {
  for (const bool at_once : {false, true}) {
    auto bus = std::make_unique<Bus<std::string>>();
    BusSubscription heard;
    if (at_once) bus->publish("a value that is long enough to have memory of its own");
    auto made = bus->subscribe([&](const std::string& value) {
      heard.unsubscribe();
      bus.reset();
      EXPECT_FALSE(value.empty());
    });
    heard = std::move(made);
    if (!at_once) bus->publish("another value that is long enough to have memory of its own");
    EXPECT_FALSE(bus);
  }
}

}  // namespace
}  // namespace semper
