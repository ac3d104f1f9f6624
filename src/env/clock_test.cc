#include "semper/env/clock.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <exception>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;

TEST(Clock, after_for_ever_is_never_and_does_not_overflow) {
  SimulatedClock clock;
  EXPECT_EQ(clock.after(kForever), kNever);
  EXPECT_EQ(clock.after(kNever - clock.now()), kNever);
  EXPECT_EQ(clock.after(kNever - clock.now() - Duration(1)), kNever - Duration(1));
  EXPECT_EQ(clock.after(2s), clock.now() + 2s);
  EXPECT_EQ(clock.after(-2s), clock.now() - 2s);
}

TEST(SystemClock, monotonic_time_does_not_go_back) {
  auto last = system_clock().now();
  for (int i = 0; i < 1000; ++i) {
    const auto now = system_clock().now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(SystemClock, the_calendar_is_the_machines) {
  const auto before = std::chrono::system_clock::now();
  const auto now = system_clock().wall_time();
  EXPECT_GE(now, before);
  EXPECT_LE(now, std::chrono::system_clock::now());
}

TEST(SystemClock, a_timer_does_not_run_before_its_time) {
  std::promise<MonotonicTime> ran;
  const auto when = system_clock().now() + 2ms;
  system_clock().call_at(when, [&] { ran.set_value(system_clock().now()); });
  EXPECT_GE(ran.get_future().get(), when);
}

TEST(SystemClock, a_timer_in_the_past_runs_at_once_and_not_in_call_at) {
  std::promise<std::thread::id> ran;
  system_clock().call_at(system_clock().now() - 1h,
                         [&] { ran.set_value(std::this_thread::get_id()); });
  EXPECT_NE(ran.get_future().get(), std::this_thread::get_id());
}

TEST(SystemClock, an_earlier_timer_is_not_kept_waiting_by_a_later_one) {
  const auto later = system_clock().call_at(system_clock().now() + 1h, [] {});
  std::promise<void> ran;
  system_clock().call_at(system_clock().now() + 1ms, [&] { ran.set_value(); });
  EXPECT_EQ(ran.get_future().wait_for(10s), std::future_status::ready);
  EXPECT_TRUE(system_clock().cancel(later));
}

TEST(SystemClock, timers_of_one_time_run_in_the_order_they_were_made) {
  const auto when = system_clock().now() + 5ms;
  std::string order;
  std::promise<void> last;
  for (char name = 'a'; name <= 'e'; ++name) {
    system_clock().call_at(when, [&order, &last, name] {
      order += name;
      if (name == 'e') last.set_value();
    });
  }
  last.get_future().get();
  EXPECT_EQ(order, "abcde");
}

TEST(SystemClock, a_cancelled_timer_does_not_run_and_one_that_ran_cannot_be_cancelled) {
  bool wrong = false;
  const auto cancelled = system_clock().call_at(system_clock().now() + 1ms, [&] { wrong = true; });
  const bool in_time = system_clock().cancel(cancelled);
  std::promise<void> ran;
  const auto after = system_clock().call_at(system_clock().now() + 2ms, [&] { ran.set_value(); });
  ran.get_future().get();
  EXPECT_NE(in_time, wrong) << "either it was cancelled or it has run";
  EXPECT_FALSE(system_clock().cancel(cancelled));
  EXPECT_FALSE(system_clock().cancel(after));
}

TEST(SystemClock, a_callback_may_add_and_cancel_timers) {
  std::promise<bool> cancelled;
  const auto victim = system_clock().call_at(system_clock().now() + 1h, [] {});
  system_clock().call_at(system_clock().now(), [&] {
    system_clock().call_at(system_clock().now(),
                           [&] { cancelled.set_value(system_clock().cancel(victim)); });
  });
  EXPECT_TRUE(cancelled.get_future().get());
}

// What a callback owns may itself use the clock when it is destroyed.
TEST(SystemClock, cancelling_destroys_the_callback_without_the_clocks_lock) {
  struct CancelsAnother {
    Clock::TimerId other;
    ~CancelsAnother() { system_clock().cancel(other); }
  };
  const auto other = system_clock().call_at(system_clock().now() + 1h, [] {});
  const auto timer = system_clock().call_at(
      system_clock().now() + 1h, [held = std::make_shared<CancelsAnother>(CancelsAnother{other})] {
        FAIL() << "an hour has not passed";
      });
  EXPECT_TRUE(system_clock().cancel(timer));
  EXPECT_FALSE(system_clock().cancel(other));
}

TEST(Sleep, a_time_that_has_passed_is_no_wait) {
  SimulatedClock clock;
  EXPECT_TRUE(simulated_run(clock, sleep_until(clock, clock.now() - 1s)));
  EXPECT_TRUE(simulated_run(clock, sleep_for(clock, -1s)));
  EXPECT_EQ(clock.now(), SimulatedClock::kStart);
}

TEST(Sleep, on_the_machines_clock_it_takes_its_time) {
  Scheduler scheduler;
  const auto before = system_clock().now();
  EXPECT_TRUE(scheduler.block_on(sleep_for(system_clock(), 3ms)));
  EXPECT_GE(system_clock().now() - before, 3ms);
}

TEST(Sleep, a_cancelled_sleep_says_cancelled) {
  SimulatedClock clock;
  asio::cancellation_signal signal;
  std::optional<Status> slept;
  simulated_run(clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    asio::co_spawn(
        executor, [&]() -> Task<void> { slept = co_await sleep_for(clock, 1h); },
        asio::bind_cancellation_slot(signal.slot(), [](std::exception_ptr) {}));
    EXPECT_TRUE(co_await sleep_for(clock, 1s));
    signal.emit(asio::cancellation_type::terminal);
    EXPECT_TRUE(co_await sleep_for(clock, 1s));
  }());
  ASSERT_TRUE(slept.has_value());
  ASSERT_FALSE(*slept);
  EXPECT_EQ(slept->error().kind(), ErrorKind::cancelled);
  EXPECT_EQ(clock.pending_timers(), 0u) << "its timer was left behind";
}

// ---- the end of the process ----

// Each in a process of its own, for static objects are destroyed in the reverse order of their
// making.
int statics_that_go_last_cancel_their_timers() {
  static Scheduler scheduler;  // made before the clock, so destroyed after it
  for (int i = 0; i < 20; ++i) {
    asio::co_spawn(scheduler.executor(), sleep_for(system_clock(), 1h),
                   [](std::exception_ptr, const Status&) {});
  }
  scheduler.block_on(yield_now());
  return 0;
}

struct WaitsAtTheEnd {
  ~WaitsAtTheEnd() {
    auto wait = []() -> Task<int> {
      OneShot<int> set;
      set.set(0);
      co_return (co_await set.wait()).value_or(1);
    };
    if (run(wait()) != 0) std::_Exit(1);
  }
};

int statics_may_wait_when_what_belongs_to_the_thread_is_gone() {
  static WaitsAtTheEnd waits;
  WaitsAtTheEnd now;
  return 0;
}

TEST(SystemClockDeathTest, static_objects_may_be_destroyed_after_it_and_wait_then) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(std::exit(statics_that_go_last_cancel_their_timers()), ::testing::ExitedWithCode(0),
              "");
  EXPECT_EXIT(std::exit(statics_may_wait_when_what_belongs_to_the_thread_is_gone()),
              ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace semper
