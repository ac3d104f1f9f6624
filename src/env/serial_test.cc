#include "semper/env/serial.h"

#include <gtest/gtest.h>

#include <atomic>

#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"

namespace semper {
namespace {

using IoExecutor = asio::io_context::executor_type;

TEST(SerialExecutor, is_the_executor_itself_where_one_thread_runs_it) {
  Scheduler one({.threads = 1});
  EXPECT_NE(serial_executor(one.executor()).target<IoExecutor>(), nullptr);
}

TEST(SerialExecutor, is_a_strand_where_several_threads_may_run_it) {
  Scheduler two({.threads = 2});
  EXPECT_EQ(serial_executor(two.executor()).target<IoExecutor>(), nullptr);
  asio::io_context of_somebody;
  EXPECT_EQ(serial_executor(of_somebody.get_executor()).target<IoExecutor>(), nullptr);
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

}  // namespace
}  // namespace semper
