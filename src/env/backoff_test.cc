#include "semper/env/backoff.h"

#include <gtest/gtest.h>

#include <set>

#include "semper/testing/seed.h"

namespace semper {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, each_wait_is_between_half_and_the_whole_of_a_growing_span) {
  SeededRandom random(testing::test_seed());
  Backoff backoff({.initial = 10ms, .maximum = 100ms, .factor = 2.0}, random);
  for (const Duration span : {10ms, 20ms, 40ms, 80ms, 100ms, 100ms, 100ms}) {
    const auto wait = backoff.next();
    EXPECT_GE(wait, span / 2);
    EXPECT_LE(wait, span);
  }
}

TEST(Backoff, reset_begins_again_at_the_initial_span) {
  SeededRandom random(1);
  Backoff backoff({.initial = 10ms, .maximum = 10s}, random);
  for (int i = 0; i < 8; ++i) backoff.next();
  backoff.reset();
  EXPECT_LE(backoff.next(), 10ms);
}

TEST(Backoff, callers_of_one_time_do_not_come_back_together) {
  SeededRandom random(testing::test_seed());
  std::set<Duration> waits;
  for (int i = 0; i < 50; ++i) {
    Backoff backoff({.initial = 1s, .maximum = 10s}, random);
    waits.insert(backoff.next());
  }
  EXPECT_GT(waits.size(), 45u);
}

TEST(Backoff, the_whole_range_is_drawn) {
  SeededRandom random(testing::test_seed());
  bool low = false;
  bool high = false;
  for (int i = 0; i < 200; ++i) {
    Backoff backoff({.initial = 1s, .maximum = 10s}, random);
    const auto wait = backoff.next();
    low = low || wait < 600ms;
    high = high || wait > 900ms;
  }
  EXPECT_TRUE(low && high);
}

TEST(Backoff, the_first_wait_does_not_pass_the_maximum) {
  SeededRandom random(1);
  Backoff backoff({.initial = 10s, .maximum = 1s}, random);
  for (int i = 0; i < 5; ++i) EXPECT_LE(backoff.next(), 1s);
}

TEST(Backoff, extreme_spans_do_not_overflow) {
  SeededRandom random(1);
  Backoff grows({.initial = Duration(1), .maximum = kForever, .factor = 1e6}, random);
  for (int i = 0; i < 20; ++i) EXPECT_GE(grows.next(), Duration::zero());
  EXPECT_GE(grows.next(), kForever / 2 - Duration(1));
  Backoff none({.initial = Duration::zero(), .maximum = 1s}, random);
  EXPECT_EQ(none.next(), Duration::zero());
}

}  // namespace
}  // namespace semper
