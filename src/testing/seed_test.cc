#include "semper/testing/seed.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <stdexcept>

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

TEST(SeedDeathTest, what_is_not_a_number_is_refused_by_name) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        setenv("SEMPER_TEST_SEED", "12x", 1);
        try {
          test_seed();
        } catch (const std::invalid_argument& error) {
          std::cerr << error.what();
          std::exit(3);
        }
        std::exit(0);
      },
      ::testing::ExitedWithCode(3), "SEMPER_TEST_SEED=\"12x\" is not a number");
}

}  // namespace
}  // namespace semper::testing
