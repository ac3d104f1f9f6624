#include "src/ring/turn.h"

#include <gtest/gtest.h>

#include "semper/testing/simulated_run.h"

namespace semper::ring::internal {
namespace {

using semper::testing::simulated_run;
using semper::testing::SimulatedClock;

TEST(Turn, whoever_finds_the_line_full_is_told_to_come_later_and_which_limit_was_hit) {
  SimulatedClock clock;
  simulated_run(clock, [&]() -> Task<void> {
    Turn turn(0);
    auto held = co_await turn.take(clock);
    EXPECT_TRUE(held);
    const auto refused = co_await turn.take(clock);
    EXPECT_EQ(refused.error().kind(), ErrorKind::retry);
    EXPECT_TRUE(refused.error().limit());
    if (refused.error().limit()) {
      EXPECT_STREQ(refused.error().limit()->name, "max_waiting");
    }
  }());
}

// One that holds the turn for so long without a sign, and then comes back.
Task<void> hold_silently(Turn& turn, SimulatedClock& clock, Duration span) {
  auto held = co_await turn.take(clock);
  static_cast<void>(co_await sleep_for(clock, span));
}
Task<void> hold_with_signs(Turn& turn, SimulatedClock& clock, int seconds) {
  auto held = co_await turn.take(clock);
  for (int i = 0; i < seconds; ++i) {
    static_cast<void>(co_await sleep_for(clock, std::chrono::seconds(1)));
    if (held) held->beat();
  }
}

TEST(Turn, it_is_taken_from_a_holder_that_gives_no_sign_and_from_nobody_else) {
  SimulatedClock clock;
  simulated_run(clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    Turn turn(10, std::chrono::seconds(3));
    asio::co_spawn(executor, hold_silently(turn, clock, std::chrono::minutes(1)), asio::detached);
    static_cast<void>(co_await sleep_for(clock, std::chrono::milliseconds(1)));
    const MonotonicTime began = clock.now();
    {
      const auto next = co_await turn.take(clock);
      EXPECT_TRUE(next);
      EXPECT_LE(clock.now() - began, std::chrono::seconds(3));
      // It comes back, and ends a turn that is its own no more.
      static_cast<void>(co_await sleep_for(clock, std::chrono::seconds(2)));
      EXPECT_TRUE(turn.is_held(clock));
    }
    asio::co_spawn(executor, hold_with_signs(turn, clock, 100), asio::detached);
    static_cast<void>(co_await sleep_for(clock, std::chrono::milliseconds(1)));
    const auto early = co_await turn.take(clock, clock.after(std::chrono::seconds(90)));
    EXPECT_FALSE(early);
    const auto after = co_await turn.take(clock);
    EXPECT_TRUE(after);
    EXPECT_GE(clock.now() - began, std::chrono::seconds(100));
  }());
}

}  // namespace
}  // namespace semper::ring::internal
