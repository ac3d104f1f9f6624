#include "server/serve/suspicion.h"

#include <gtest/gtest.h>

namespace semper::internal {
namespace {

TEST(Suspicion, covers_what_was_there_at_the_first_look_and_at_the_first_after_a_death) {
  Suspicion suspicion;
  EXPECT_TRUE(suspicion.covers(7, 10));
  EXPECT_TRUE(suspicion.covers(10, 20));
  EXPECT_FALSE(suspicion.covers(11, 20));
  const auto number = suspicion.number();
  suspicion.renew();
  EXPECT_TRUE(suspicion.covers(25, 30));
  EXPECT_NE(suspicion.number(), number);
  EXPECT_FALSE(suspicion.covers(31, 40));
  suspicion.clear();
  EXPECT_FALSE(suspicion.covers(1, 50));
}

}  // namespace
}  // namespace semper::internal
