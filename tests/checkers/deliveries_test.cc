// A right history passes, and so does no spoilt one: lost, twice, refused, foreign, out of order,
// torn.
#include "deliveries.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace semper::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<Sent> kSent = {
    {1, 1, Fate::done, 0}, {1, 2, Fate::refused, 0}, {1, 3, Fate::open, 0}, {1, 4, Fate::done, 0},
    {1, 5, Fate::done, 9}, {1, 6, Fate::done, 9},    {2, 1, Fate::done, 0}};

std::vector<std::string> wrong(std::vector<Delivered> delivered,
                               DeliveryOrder order = DeliveryOrder::by_publisher) {
  return judge_deliveries("r", kSent, delivered, order);
}

TEST(Deliveries, a_right_history_is_accepted) {
  EXPECT_THAT(wrong({{1, 1}, {2, 1}, {1, 4}, {1, 5}, {1, 6}}), IsEmpty());
  EXPECT_THAT(wrong({{1, 1}, {1, 4}, {1, 3}, {1, 5}, {1, 6}, {2, 1}}), IsEmpty())
      << "what has no answer may come late";
}

TEST(Deliveries, a_lost_message_is_found) {
  EXPECT_THAT(wrong({{1, 1}, {1, 4}, {1, 5}, {1, 6}}),
              ElementsAre("r: message 1 of publisher 2 was acknowledged and is lost"));
}

TEST(Deliveries, an_effect_that_is_there_twice_is_found) {
  EXPECT_THAT(wrong({{1, 1}, {1, 1}, {2, 1}, {1, 4}, {1, 5}, {1, 6}}),
              ElementsAre(HasSubstr("took effect 2 times")));
  EXPECT_THAT(wrong({{1, 1}, {1, 3}, {1, 3}, {2, 1}, {1, 4}, {1, 5}, {1, 6}}),
              ElementsAre(HasSubstr("took effect 2 times")));
}

TEST(Deliveries, the_effect_of_a_refused_or_foreign_message_is_found) {
  EXPECT_THAT(wrong({{1, 1}, {1, 2}, {2, 1}, {1, 4}, {1, 5}, {1, 6}}),
              ElementsAre(HasSubstr("was refused and took effect")));
  EXPECT_THAT(wrong({{1, 1}, {2, 1}, {1, 4}, {1, 5}, {1, 6}, {7, 7}}),
              ElementsAre(HasSubstr("was never sent")));
}

TEST(Deliveries, a_wrong_order_is_found) {
  EXPECT_THAT(wrong({{1, 4}, {1, 1}, {2, 1}, {1, 5}, {1, 6}}),
              ElementsAre(HasSubstr("took effect after its message 4")));
  EXPECT_THAT(wrong({{1, 4}, {1, 1}, {2, 1}, {1, 5}, {1, 6}}, DeliveryOrder::none), IsEmpty());
}

TEST(Deliveries, a_torn_batch_is_found) {
  EXPECT_THAT(wrong({{1, 1}, {1, 4}, {1, 5}, {2, 1}, {1, 6}}),
              ElementsAre(HasSubstr("directly after")));
  EXPECT_THAT(judge_deliveries("r", {{1, 1, Fate::open, 2}, {1, 2, Fate::open, 2}}, {{1, 2}}),
              ElementsAre(HasSubstr("without the others")));
}

}  // namespace
}  // namespace semper::testing
