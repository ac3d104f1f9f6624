#include "src/ring/turn.h"

#include <gtest/gtest.h>

#include "semper/testing/simulated_run.h"

namespace semper::ring::internal {
namespace {

using testing::simulated_run;
using testing::SimulatedClock;

TEST(Turn, who_finds_the_line_full_is_told_to_come_later_and_which_limit_it_is) {
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

}  // namespace
}  // namespace semper::ring::internal
