#include "semper/base/assert.h"

#include <gtest/gtest.h>

namespace semper {
namespace {

TEST(AssertTest, TrueInvariantGoesOnAndIsEvaluatedOnce) {
  int evaluations = 0;
  SEMPER_ASSERT(++evaluations > 0, "it was just incremented");
  EXPECT_EQ(evaluations, 1);
}

TEST(AssertDeathTest, BrokenInvariantAbortsWithFileExpressionAndWhy) {
  const int popped = 3;
  const int pushed = 2;
  EXPECT_DEATH(SEMPER_ASSERT(popped <= pushed, "a queue cannot have consumed more than it holds"),
               "assert_test.cc:[0-9]+: popped <= pushed(.|\n)*consumed more than it holds");
}

}  // namespace
}  // namespace semper
