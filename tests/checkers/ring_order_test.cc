// A right ring passes, and so does no spoilt one.
#include "ring_order.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace semper::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

RingOrder with_pushes() {
  RingOrder order;
  order.pushed(1, Fate::done);
  order.pushed(2, Fate::open);
  order.pushed(3, Fate::done);
  order.pushed(4, Fate::refused);
  order.pushed(5, Fate::done);
  return order;
}

TEST(RingOrders, a_right_history_is_accepted) {
  auto order = with_pushes();
  order.seen({1, 3});
  order.removed(1, Fate::done);
  order.seen({3, 5});
  order.removed(3, Fate::open);
  order.seen({3});
  order.removed(5, Fate::open);
  order.drained();
  EXPECT_THAT(order.wrong(), IsEmpty());
}

TEST(RingOrders, a_lost_item_is_found) {
  auto order = with_pushes();
  order.seen({3});
  EXPECT_THAT(order.wrong(), ElementsAre("item 1 was acknowledged and passed over"));
  order = with_pushes();
  order.seen({1, 5});
  EXPECT_THAT(order.wrong(), ElementsAre(HasSubstr("item 3 was acknowledged and passed over")));
  order = with_pushes();
  order.seen({1, 3});
  order.removed(3, Fate::done);
  order.drained();
  EXPECT_THAT(order.wrong(), ElementsAre(HasSubstr("item 5 was acknowledged and passed over")));
}

TEST(RingOrders, an_item_that_comes_back_is_found) {
  auto order = with_pushes();
  order.seen({1});
  order.removed(1, Fate::done);
  order.seen({1});
  EXPECT_THAT(order.wrong(), ElementsAre(HasSubstr("item 1 came back")));
}

TEST(RingOrders, a_refused_or_foreign_item_is_found) {
  auto order = with_pushes();
  order.seen({1, 3, 4});
  EXPECT_THAT(order.wrong(), ElementsAre("item 4 was refused and is there"));
  order = with_pushes();
  order.seen({1, 2});
  order.pushed(2, Fate::refused);
  EXPECT_THAT(order.wrong(), ElementsAre("item 2 was seen and then refused"));
  order = with_pushes();
  order.seen({1, 3, 5, 9});
  EXPECT_THAT(order.wrong(), ElementsAre("item 9 was never pushed"));
}

TEST(RingOrders, a_wrong_order_is_found) {
  auto order = with_pushes();
  order.seen({1, 3, 2});
  EXPECT_THAT(order.wrong(), ElementsAre("item 2 came after 3"));
}

TEST(RingOrders, an_item_lost_after_a_removal_that_was_not_made_is_found) {
  auto order = with_pushes();
  order.removed(3, Fate::open);
  order.seen({1});
  order.removed(1, Fate::done);
  order.seen({5});
  EXPECT_THAT(order.wrong(), ElementsAre(HasSubstr("item 3 was acknowledged and passed over")));
}

}  // namespace
}  // namespace semper::testing
