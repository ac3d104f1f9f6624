#include "semper/env/direct_executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "semper/env/one_shot.h"

namespace semper {
namespace {

TEST(DirectExecutor, runs_a_handler_before_post_returns_and_nested_ones_after_it) {
  const DirectExecutor executor;
  std::vector<int> order;
  asio::post(Executor(executor), [&] {
    asio::post(Executor(executor), [&] { order.push_back(2); });
    order.push_back(1);
  });
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
}

TEST(DirectExecutor, a_coroutine_goes_on_on_the_thread_that_brings_what_it_waits_for) {
  const DirectExecutor executor;
  OneShot<int> event;
  std::thread::id resumed;
  int got = 0;
  executor.start([&]() -> Task<void> {
    const auto value = co_await event.wait();
    got = *value;
    resumed = std::this_thread::get_id();
  });
  EXPECT_EQ(got, 0);
  std::thread bringer([&] {
    event.set(7);
    EXPECT_EQ(got, 7);
    EXPECT_EQ(resumed, std::this_thread::get_id());
  });
  bringer.join();
}

TEST(DirectExecutor, handlers_of_many_threads_run_one_at_a_time) {
  const DirectExecutor executor;
  std::atomic<int> inside = 0;
  int count = 0;  // without a lock
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        asio::post(Executor(executor), [&] {
          EXPECT_EQ(inside.fetch_add(1), 0);
          ++count;
          inside.fetch_sub(1);
        });
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count, 4000);
}

}  // namespace
}  // namespace semper
