#include "semper/env/internal/loop_state.h"

#include <gtest/gtest.h>

#include <asio/thread_pool.hpp>
#include <vector>

#include "semper/env/direct_executor.h"

namespace semper::internal {
namespace {

std::vector<Executor> executors_over(const Executor& executor) {
  return {executor, asio::make_strand(executor),
          asio::prefer(executor, asio::execution::outstanding_work.tracked)};
}

TEST(LoopState, a_loop_that_was_stopped_is_known_through_whatever_executor) {
  asio::io_context context;
  asio::io_context::executor_type plain = context.get_executor();
  auto all = executors_over(plain);
  all.emplace_back(asio::make_strand(plain));
  for (const auto& executor : all) EXPECT_FALSE(is_stopped(executor));
  context.stop();
  for (const auto& executor : all) EXPECT_TRUE(is_stopped(executor));
  context.restart();
  for (const auto& executor : all) EXPECT_FALSE(is_stopped(executor));
}

TEST(LoopState, a_pool_that_was_stopped_is_known) {
  asio::thread_pool pool(1);
  const auto all = executors_over(pool.get_executor());
  for (const auto& executor : all) EXPECT_FALSE(is_stopped(executor));
  pool.stop();
  pool.join();
  for (const auto& executor : all) EXPECT_TRUE(is_stopped(executor));
}

TEST(LoopState, who_runs_a_handler_runs_the_loop) {
  asio::io_context context;
  asio::io_context other;
  const auto all = executors_over(context.get_executor());
  const auto none = executors_over(other.get_executor());
  bool ran = false;
  asio::post(context, [&] {
    ran = true;
    for (const auto& executor : all) EXPECT_TRUE(is_run_by_this_thread(executor));
    for (const auto& executor : none) EXPECT_FALSE(is_run_by_this_thread(executor));
  });
  context.poll();  // not run(): an executor that is tracked keeps that at work
  EXPECT_TRUE(ran);
  for (const auto& executor : all) EXPECT_FALSE(is_run_by_this_thread(executor));
}

TEST(LoopState, of_an_executor_without_a_loop_nothing_is_known) {
  const Executor direct{DirectExecutor()};
  EXPECT_FALSE(is_stopped(direct));
  EXPECT_FALSE(is_run_by_this_thread(direct));
}

}  // namespace
}  // namespace semper::internal
