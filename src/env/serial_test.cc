#include "semper/env/serial.h"

#include <gtest/gtest.h>

#include <atomic>
#include <typeinfo>

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

}  // namespace
}  // namespace semper
