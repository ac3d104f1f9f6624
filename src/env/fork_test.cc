// Forked children: what they make works, what is their parent's gives an error, and ending ends.
#include "semper/env/fork.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <thread>

#include "env/sanitizer_test_support.h"
#include "semper/base/log.h"
#include "semper/env/blocking.h"
#include "semper/env/clock.h"
#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"

namespace semper {
namespace {

using namespace std::chrono_literals;

// A child that hangs is ended by this, and its test fails.
constexpr unsigned kHangsSeconds = 30;

// What became of a child that runs `work` and then leaves by `_exit`: its exit code, or 128 + a
// signal.
template <class Work>
int in_child(Work work) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kHangsSeconds);
    ::_exit(work());
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// 0: a timer came.
int wait_for_a_timer() {
  Scheduler scheduler;
  return scheduler.block_on(sleep_for(system_clock(), 1ms)) ? 0 : 1;
}

TEST(Fork, the_guard_knows_its_process_from_children_and_theirs) {
  const ForkGuard guard;
  EXPECT_FALSE(guard.is_foreign());
  EXPECT_TRUE(guard.check("it"));
  const int code = in_child([&] {
    const ForkGuard fresh;
    const auto refused = guard.check("this thing");
    if (refused || refused.error().kind() != ErrorKind::unsupported || fresh.is_foreign()) return 1;
    if (refused.error().message().find("this thing") == std::string::npos) return 2;
    return in_child([&] { return fresh.is_foreign() && guard.is_foreign() ? 0 : 3; });
  });
  EXPECT_EQ(code, 0);
}

TEST(Fork, timers_come_in_a_child_whose_parent_has_used_timers) {
  SEMPER_FORKS_BESIDE_THREADS();
  ASSERT_EQ(wait_for_a_timer(), 0);
  EXPECT_EQ(in_child(wait_for_a_timer), 0);
  EXPECT_EQ(in_child([] { return in_child(wait_for_a_timer); }), 0) << "in a child of a child";
  EXPECT_EQ(wait_for_a_timer(), 0);
}

TEST(Fork, timers_come_in_a_child_while_the_parents_are_busy) {
  SEMPER_FORKS_BESIDE_THREADS();
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    while (!stop.load()) {
      const auto timer = system_clock().call_at(system_clock().after(1h), [] {});
      system_clock().cancel(timer);
    }
  });
  for (int i = 0; i < 50; ++i) EXPECT_EQ(in_child(wait_for_a_timer), 0);
  stop.store(true);
  busy.join();
}

TEST(Fork, a_timer_of_the_parent_does_not_come_in_the_child_too) {
  SEMPER_FORKS_BESIDE_THREADS();
  std::atomic<bool> came = false;
  const auto timer = system_clock().call_at(system_clock().after(1h), [&] { came.store(true); });
  const int code = in_child([&] {
    if (wait_for_a_timer() != 0) return 1;
    if (system_clock().cancel(timer)) return 2;
    return came.load() ? 3 : 0;
  });
  EXPECT_EQ(code, 0);
  EXPECT_TRUE(system_clock().cancel(timer));
}

// The clock of a child starts its thread anew.
TEST(Fork, timers_for_which_no_thread_can_be_started_come_when_one_can) {
  SEMPER_FORKS_BESIDE_THREADS();
  constexpr int kCannotBeSomebodyElse = 77;
  constexpr uid_t kSomebodyElse = 65'534;
  const int code = in_child([&] {
    // The limit is not for root.
    if (::geteuid() == 0 && ::setuid(kSomebodyElse) != 0) return kCannotBeSomebodyElse;
    rlimit before{};
    ::getrlimit(RLIMIT_NPROC, &before);
    rlimit none = before;
    none.rlim_cur = 0;
    ::setrlimit(RLIMIT_NPROC, &none);
    OneShot<int> first, second;
    const auto now = system_clock().now();
    system_clock().call_at(now, [&] { first.set(1); });
    ::setrlimit(RLIMIT_NPROC, &before);
    if (first.is_set()) return 1;
    system_clock().call_at(now, [&] { second.set(1); });
    while (!first.is_set() || !second.is_set()) std::this_thread::yield();
    return 0;
  });
  if (code == kCannotBeSomebodyElse) GTEST_SKIP() << "root cannot become somebody else here";
  EXPECT_EQ(code, 0);
}

TEST(Fork, a_child_that_exits_runs_its_static_destructors_and_ends) {
  SEMPER_FORKS_BESIDE_THREADS();
  ASSERT_EQ(wait_for_a_timer(), 0);
  for (const bool uses_timers : {false, true}) {
    const int code = in_child([&]() -> int {
      if (uses_timers && wait_for_a_timer() != 0) return 1;
      std::exit(7);
    });
    EXPECT_EQ(code, 7);
  }
}

TEST(Fork, the_parents_scheduler_says_that_it_is_not_the_childs_and_goes_without_waiting) {
  SEMPER_FORKS_BESIDE_THREADS();
  auto scheduler = std::make_unique<Scheduler>(SchedulerOptions{.threads = 3});
  const auto nothing = []() -> Async<void> { co_return Status{}; };
  const int code = in_child([&] {
    try {
      static_cast<void>(scheduler->block_on(nothing()));
      return 1;
    } catch (const std::logic_error& error) {
      if (std::string(error.what()).find("forked") == std::string::npos) return 2;
    }
    scheduler->stop();
    scheduler.reset();
    return wait_for_a_timer();
  });
  EXPECT_EQ(code, 0);
  EXPECT_TRUE(scheduler->block_on(nothing()));
}

TEST(Fork, a_child_does_not_wait_for_a_function_that_blocks_its_parents_thread) {
  SEMPER_FORKS_BESIDE_THREADS();
  OneShot<int> entered;
  std::atomic<bool> leaves = false;
  auto context = std::make_unique<asio::io_context>(1);
  auto calls = [&]() -> Task<void> {
    auto blocks = [&] {
      entered.set(1);
      while (!leaves) std::this_thread::yield();
    };
    static_cast<void>(co_await run_blocking(blocks));
  };
  asio::co_spawn(*context, calls(), asio::detached);
  context->poll();
  Scheduler scheduler;
  ASSERT_TRUE(scheduler.block_on(entered.wait()));
  const int code = in_child([&] {
    context.reset();
    return 0;
  });
  leaves = true;
  context->run();
  EXPECT_EQ(code, 0);
}

TEST(Fork, a_child_can_log_while_its_parents_threads_do) {
  SEMPER_FORKS_BESIDE_THREADS();
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    while (!stop.load()) log_warning("fork", "");
  });
  int failed = 0;
  // stderr is the one of this test: lines of both are expected there.
  for (int i = 0; i < 50; ++i) {
    failed += in_child([] {
      log_warning("fork", "in a child");
      return 0;
    });
  }
  stop.store(true);
  busy.join();
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace semper
