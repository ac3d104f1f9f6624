#include "semper/testing/simulated_clock.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/testing/simulated_run.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

TEST(SimulatedClock, time_stands_still_until_it_is_moved) {
  SimulatedClock clock;
  EXPECT_EQ(clock.now(), SimulatedClock::kStart);
  clock.advance(3s);
  EXPECT_EQ(clock.now(), SimulatedClock::kStart + 3s);
  EXPECT_EQ(clock.wall_time(), SimulatedClock::kWallStart + 3s);
}

TEST(SimulatedClock, timers_run_in_the_order_of_their_times_then_of_their_making) {
  SimulatedClock clock;
  std::string order;
  clock.call_at(clock.now() + 2s, [&] { order += 'c'; });
  clock.call_at(clock.now() + 1s, [&] { order += 'a'; });
  clock.call_at(clock.now() + 1s, [&] { order += 'b'; });
  clock.call_at(clock.now() + 9s, [&] { order += 'z'; });
  clock.advance(2s);
  EXPECT_EQ(order, "abc");
  EXPECT_EQ(clock.pending_timers(), 1u);
}

TEST(SimulatedClock, a_callback_sees_its_own_time_and_may_add_timers_on_the_way) {
  SimulatedClock clock;
  const auto start = clock.now();
  std::vector<Duration> seen;
  clock.call_at(start + 1s, [&] {
    seen.push_back(clock.now() - start);
    clock.call_at(start + 2s, [&] { seen.push_back(clock.now() - start); });
  });
  clock.advance(5s);
  EXPECT_EQ(seen, (std::vector<Duration>{1s, 2s}));
  EXPECT_EQ(clock.now(), start + 5s);
}

TEST(SimulatedClock, an_overdue_timer_runs_at_the_next_move_and_not_in_call_at) {
  SimulatedClock clock;
  bool ran = false;
  clock.call_at(clock.now() - 1s, [&] { ran = true; });
  EXPECT_FALSE(ran);
  const auto before = clock.now();
  clock.advance(0s);
  EXPECT_TRUE(ran);
  EXPECT_EQ(clock.now(), before);
}

TEST(SimulatedClock, a_cancelled_timer_never_runs_and_is_cancelled_once) {
  SimulatedClock clock;
  bool ran = false;
  const auto timer = clock.call_at(clock.now() + 1s, [&] { ran = true; });
  EXPECT_TRUE(clock.cancel(timer));
  EXPECT_FALSE(clock.cancel(timer));
  clock.advance(2s);
  EXPECT_FALSE(ran);
  const auto run = clock.call_at(clock.now(), [] {});
  clock.advance(0s);
  EXPECT_FALSE(clock.cancel(run));
}

TEST(SimulatedClock, a_timer_for_never_is_not_reached) {
  SimulatedClock clock;
  clock.call_at(kNever, [] { FAIL() << "never has come"; });
  EXPECT_FALSE(clock.advance_to_next_timer());
  EXPECT_EQ(clock.now(), SimulatedClock::kStart);
}

TEST(SimulatedClock, the_calendar_jumps_without_moving_monotonic_time) {
  SimulatedClock clock;
  clock.jump_wall_time(-24h);
  EXPECT_EQ(clock.now(), SimulatedClock::kStart);
  EXPECT_EQ(clock.wall_time(), SimulatedClock::kWallStart - 24h);
}

TEST(SimulatedRun, an_hour_passes_without_waiting) {
  SimulatedClock clock;
  const auto slept = simulated_run(clock, sleep_for(clock, 1h));
  EXPECT_TRUE(slept);
  EXPECT_EQ(clock.now(), SimulatedClock::kStart + 1h);
}

TEST(SimulatedRun, sleepers_wake_in_the_order_of_their_times) {
  SimulatedClock clock;
  std::string order;
  auto sleeper = [&](Duration span, char name) -> Task<void> {
    EXPECT_TRUE(co_await sleep_for(clock, span));
    order += name;
  };
  simulated_run(clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    asio::co_spawn(executor, sleeper(3s, 'c'), asio::detached);
    asio::co_spawn(executor, sleeper(1s, 'a'), asio::detached);
    co_await sleeper(2s, 'b');
    co_await sleeper(2s, 'd');
  }());
  EXPECT_EQ(order, "abcd");
}

TEST(SimulatedRun, a_result_without_a_default_and_an_exception_both_come_through) {
  struct NoDefault {
    explicit NoDefault(int given) : value(given) {}
    int value;
  };
  SimulatedClock clock;
  EXPECT_EQ(simulated_run(clock, []() -> Task<NoDefault> { co_return NoDefault(7); }()).value, 7);
  EXPECT_THROW(simulated_run(clock,
                             []() -> Task<void> {
                               throw std::invalid_argument("thrown inside");
                               co_return;
                             }()),
               std::invalid_argument);
}

TEST(SimulatedRun, waiting_for_what_cannot_come_is_reported_as_stuck) {
  SimulatedClock clock;
  OneShot<int> never;
  EXPECT_THROW(simulated_run(clock, never.wait()), SimulationStuck);
}

TEST(SimulatedRun, an_endless_heartbeat_ends_at_the_time_limit) {
  SimulatedClock clock;
  EXPECT_THROW(simulated_run(clock,
                             [&]() -> Task<void> {
                               while (true) EXPECT_TRUE(co_await sleep_for(clock, 1s));
                             }(),
                             {.time_limit = 60s}),
               SimulationStuck);
  EXPECT_EQ(clock.now(), SimulatedClock::kStart + 60s);
}

TEST(SimulatedRun, another_threads_answer_is_waited_for_before_time_moves) {
  SimulatedClock clock;
  OneShot<int> answer;
  std::thread other([answer]() mutable { answer.set(1); });
  auto got = simulated_run(clock, answer.wait_until(clock, clock.after(1s)),
                           {.wait_for_threads = std::chrono::seconds(10)});
  other.join();
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(clock.now(), SimulatedClock::kStart);
}

}  // namespace
}  // namespace semper::testing
