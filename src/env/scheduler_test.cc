#include "semper/env/scheduler.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>

#include "env/sanitizer_test_support.h"
#include "semper/env/one_shot.h"

namespace semper {
namespace {

struct NoDefault {
  explicit NoDefault(int given) : value(given) {}
  int value;
};

TEST(Scheduler, block_on_returns_what_the_coroutine_returns) {
  Scheduler scheduler;
  EXPECT_EQ(scheduler.block_on([]() -> Task<int> { co_return 7; }()), 7);
  EXPECT_EQ(scheduler.block_on([]() -> Async<std::string> { co_return "text"; }()), "text");
  bool ran = false;
  scheduler.block_on([&]() -> Task<void> {
    ran = true;
    co_return;
  }());
  EXPECT_TRUE(ran);
}

TEST(Scheduler, a_value_without_a_default_can_be_returned) {
  Scheduler scheduler;
  EXPECT_EQ(scheduler.block_on([]() -> Task<NoDefault> { co_return NoDefault(3); }()).value, 3);
  EXPECT_EQ(scheduler.block_on([]() -> Async<NoDefault> { co_return NoDefault(4); }())->value, 4);
}

TEST(Scheduler, block_on_throws_what_the_coroutine_throws) {
  Scheduler scheduler;
  EXPECT_THROW(scheduler.block_on([]() -> Task<int> {
    throw std::out_of_range("thrown inside");
    co_return 0;
  }()),
               std::out_of_range);
  EXPECT_THROW(scheduler.block_on([]() -> Task<void> {
    throw std::out_of_range("thrown inside");
    co_return;
  }()),
               std::out_of_range);
  EXPECT_EQ(scheduler.block_on([]() -> Task<int> { co_return 1; }()), 1) << "and it goes on";
}

TEST(Scheduler, coroutines_run_on_as_many_threads_as_asked_for) {
  Scheduler scheduler({.threads = 3, .name = "a name longer than fifteen"});
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::set<std::string> names;
  std::atomic<int> inside{0};
  std::vector<OneShot<int>> ended(3);
  for (auto& end : ended) {
    asio::co_spawn(
        scheduler.executor(),
        [&, end]() mutable -> Task<void> {
          ++inside;
          // Each holds its thread until all three are there.
          while (inside < 3) std::this_thread::yield();
          char name[16] = {};
          pthread_getname_np(pthread_self(), name, sizeof name);
          {
            std::lock_guard lock(mutex);
            threads.insert(std::this_thread::get_id());
            names.insert(name);
          }
          end.set(1);
          co_return;
        },
        asio::detached);
  }
  for (auto& end : ended) EXPECT_EQ(scheduler.block_on(end.wait()), 1);
  EXPECT_EQ(threads.size(), 3u);
  EXPECT_EQ(names, (std::set<std::string>{"a name longer t"}));
}

TEST(Scheduler, block_on_after_stop_throws_and_does_not_wait) {
  Scheduler scheduler;
  scheduler.stop();
  EXPECT_THROW(scheduler.block_on([]() -> Task<void> { co_return; }()), std::logic_error);
}

// Exit code 0: it threw what it should.
[[noreturn]] void start_more_threads_than_there_is_memory_for() {
  constexpr rlim_t kForFewThreads = 100u << 20;
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  rlimit limit{};
  limit.rlim_cur = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + kForFewThreads;
  limit.rlim_max = limit.rlim_cur;
  setrlimit(RLIMIT_AS, &limit);
  try {
    const Scheduler many({.threads = 1000});
  } catch (const std::system_error&) {
    _exit(0);
  }
  _exit(1);
}

// The threads that were started before it are ended.
TEST(SchedulerDeathTest, a_thread_that_cannot_be_started_is_an_exception) {
  if (testing::kSanitized) GTEST_SKIP() << "the sanitizers need their address space";
  EXPECT_EXIT(start_more_threads_than_there_is_memory_for(), ::testing::ExitedWithCode(0), "");
}

TEST(SchedulerDeathTest, waiting_for_oneself_stops_the_program) {
  EXPECT_DEATH(
      {
        Scheduler scheduler;
        scheduler.block_on([&]() -> Task<void> {
          scheduler.block_on([]() -> Task<void> { co_return; }());
          co_return;
        }());
      },
      "cannot wait");
}

TEST(Run, the_exit_code_is_the_coroutines) {
  EXPECT_EQ(run([]() -> Task<int> {
              co_await yield_now();
              co_return 3;
            }()),
            3);
}

TEST(Run, an_exception_comes_out) {
  EXPECT_THROW(run([]() -> Task<int> {
                 throw std::out_of_range("thrown inside");
                 co_return 0;
               }()),
               std::out_of_range);
}

TEST(Run, what_still_waits_does_not_keep_the_program) {
  OneShot<int> never;
  EXPECT_EQ(
      run([](OneShot<int> waited) -> Task<int> {
        asio::co_spawn(
            co_await asio::this_coro::executor,
            [](OneShot<int> on) -> Task<void> { static_cast<void>(co_await on.wait()); }(waited),
            asio::detached);
        co_await yield_now();
        co_return 0;
      }(never)),
      0);
  EXPECT_TRUE(never.set(1));
}

TEST(YieldNow, others_that_are_ready_come_first) {
  std::string order;
  EXPECT_EQ(run([](std::string& to) -> Task<int> {
              asio::co_spawn(
                  co_await asio::this_coro::executor,
                  [](std::string& out) -> Task<void> {
                    out += 'a';
                    co_return;
                  }(to),
                  asio::detached);
              co_await yield_now();
              to += 'b';
              co_return 0;
            }(order)),
            0);
  EXPECT_EQ(order, "ab");
}

}  // namespace
}  // namespace semper
