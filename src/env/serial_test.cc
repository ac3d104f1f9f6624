#include "semper/env/serial.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <typeinfo>

#include "semper/env/direct_executor.h"
#include "semper/env/internal/cancellable.h"
#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"

namespace semper {
namespace {

bool is_strand(const Executor& executor) {
  return executor.target_type() == typeid(asio::strand<Executor>);
}

TEST(SerialExecutor, is_the_executor_itself_where_one_thread_runs_it) {
  Scheduler one({.threads = 1});
  EXPECT_FALSE(is_strand(serial_executor(one.executor())));
}

TEST(SerialExecutor, is_a_strand_where_several_threads_may_run_it) {
  Scheduler two({.threads = 2});
  EXPECT_TRUE(is_strand(serial_executor(two.executor())));
  asio::io_context of_somebody;
  EXPECT_TRUE(is_strand(serial_executor(of_somebody.get_executor())));
}

TEST(SerialExecutor, runs_one_handler_at_a_time_on_several_threads) {
  std::atomic<int> inside = 0;
  std::atomic<bool> together = false;
  std::atomic<int> ran = 0;
  constexpr int kHandlers = 2'000;
  Scheduler two({.threads = 2});
  const auto serial = serial_executor(two.executor());
  OneShot<int> all;
  for (int i = 0; i < kHandlers; ++i) {
    asio::post(serial, [&] {
      if (++inside > 1) together = true;
      --inside;
      if (++ran == kHandlers) all.set(0);
    });
  }
  EXPECT_TRUE(two.block_on(all.wait()));
  EXPECT_FALSE(together);
}

TEST(SerialExecutor, is_a_direct_executor_itself) {
  EXPECT_TRUE(is_direct(serial_executor(Executor(DirectExecutor()))));
}

// Nothing holds a lock while they run on the thread that brings what they wait for.
TEST(SerialExecutor, on_a_direct_executor_coroutines_may_wait_again_when_they_are_resumed) {
  const Executor serial = serial_executor(Executor(DirectExecutor()));
  OneShot<int> first, second;
  int got = 0;
  auto waits = [](OneShot<int> one, OneShot<int> two, int& sum) -> Task<void> {
    sum += *co_await one.wait();
    sum += *co_await two.wait();
  };
  asio::co_spawn(serial, waits(first, second, got), asio::detached);
  first.set(1);
  second.set(2);
  EXPECT_EQ(got, 3);
}

TEST(SerialExecutor, on_a_direct_executor_what_is_cancelled_may_wait_again) {
  const Executor serial = serial_executor(Executor(DirectExecutor()));
  OneShot<int> first, second;
  std::string seen;
  auto waits = [](OneShot<int> one, OneShot<int> two, std::string& to) -> Task<void> {
    co_await asio::this_coro::throw_if_cancelled(false);
    auto ended = co_await one.wait();
    to += ended ? "came" : "cancelled";
    static_cast<void>(co_await two.wait_regardless());
    to += " ended";
  };
  auto task = std::make_shared<internal::Cancellable>();
  internal::Cancellable::start(task, serial, waits(first, second, seen));
  internal::Cancellable::cancel(task);
  EXPECT_EQ(seen, "cancelled");
  second.set(1);
  EXPECT_EQ(seen, "cancelled ended");
}

}  // namespace
}  // namespace semper
