#include "semper/testing/seed.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace semper::testing {
namespace {

// Each in a process of its own: the seed is chosen once.
TEST(SeedDeathTest, the_environment_chooses_the_seed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        setenv("SEMPER_TEST_SEED", "12345", 1);
        std::exit(test_seed() == 12345 && test_seed() == 12345 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

TEST(SeedDeathTest, without_it_a_seed_is_drawn_and_stays) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        unsetenv("SEMPER_TEST_SEED");
        std::exit(test_seed() == test_seed() ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace semper::testing
