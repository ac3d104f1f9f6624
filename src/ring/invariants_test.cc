// What the two sides assert of their positions wherever they hand state on.
#include <gtest/gtest.h>

#include "ring/format.h"

namespace semper::ring::internal {
namespace {

constexpr Geometry kGeometry{.data_start = 0, .capacity = 4096, .unit = 512};

TEST(RingInvariants, positions_in_order_at_most_a_lap_apart_are_fine) {
  assert_positions(kGeometry, 0, 0, 0);
  assert_positions(kGeometry, 8192, 8192, 12288);
  assert_positions(kGeometry, 512, 1024, 4608);
}

TEST(RingInvariantsDeathTest, a_position_out_of_order_ends_the_process) {
  EXPECT_DEATH(assert_positions(kGeometry, 512, 511, 1024), "only what is exposed is consumed");
  EXPECT_DEATH(assert_positions(kGeometry, 0, 513, 512), "only what is written is exposed");
  EXPECT_DEATH(assert_positions(kGeometry, 511, 512, 4608), "is not written over");
}

}  // namespace
}  // namespace semper::ring::internal
