#include "server/serve/host_threads.h"

#include <gtest/gtest.h>

#include <asio/thread_pool.hpp>
#include <chrono>
#include <semaphore>

namespace semper::internal {
namespace {

using namespace std::chrono_literals;

// Both the renewal of a lock and its end are handlers of one upkeep(), and share what they know.
TEST(HostThreadsOfOthers, run_one_handler_of_upkeep_at_a_time_on_any_executor) {
  asio::thread_pool pool(2);
  HostOptions options;
  options.executor = pool.get_executor();
  HostThreads threads(options);
  const Executor upkeep = threads.upkeep();
  std::binary_semaphore has_begun(0);
  std::binary_semaphore second(0);
  bool ran_beside = false;
  asio::post(upkeep, [&] {
    has_begun.release();
    ran_beside = second.try_acquire_for(50ms);
  });
  has_begun.acquire();
  asio::post(upkeep, [&] { second.release(); });
  pool.join();
  EXPECT_FALSE(ran_beside);
  threads.stop();
}

}  // namespace
}  // namespace semper::internal
