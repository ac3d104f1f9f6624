#include "semper/base/assert.h"

#include <gtest/gtest.h>

namespace semper {
namespace {

TEST(AssertTest, a_true_invariant_lets_the_program_go_on_and_is_evaluated_once) {
  int evaluations = 0;
  SEMPER_ASSERT(++evaluations > 0, "it was just incremented");
  EXPECT_EQ(evaluations, 1);
}

TEST(AssertDeathTest, a_broken_invariant_aborts_with_file_expression_and_reason) {
  const int popped = 3;
  const int pushed = 2;
  EXPECT_DEATH(SEMPER_ASSERT(popped <= pushed, "a queue cannot have consumed more than it holds"),
               "assert_test.cc:[0-9]+: popped <= pushed(.|\n)*consumed more than it holds");
}

}  // namespace
}  // namespace semper
