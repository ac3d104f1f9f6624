// The search itself, on a register: right histories, spoilt ones, and one that is too much for its
// bound.
#include "search.h"

#include "gtest/gtest.h"

namespace semper::testing {
namespace {

struct RegisterOperation {
  bool writes = false;
  std::int64_t value = 0;
  Interval when;
};

struct Register {
  using State = std::int64_t;
  using Operation = RegisterOperation;
  static Interval interval(const Operation& operation) { return operation.when; }
  static bool step(const Operation& operation, State& state) {
    if (operation.writes) state = operation.value;
    return operation.when.is_open || operation.value == state;
  }
};

using History = std::vector<RegisterOperation>;

Found found(const History& history, std::uint64_t work = kSearchWork) {
  return search_order<Register>(history, 0, work).found;
}

TEST(Search, an_order_is_found_for_a_right_history) {
  EXPECT_EQ(found({}), Found::an_order);
  EXPECT_EQ(found({{true, 1, {0, 5}}, {false, 0, {1, 2}}, {false, 1, {3, 4}}}), Found::an_order);
  EXPECT_EQ(found({{true, 1, {0, 9}}, {true, 2, {0, 9}}, {false, 1, {10, 11}}}), Found::an_order);
  EXPECT_EQ(found({{true, 1, {0, 0, true}}, {false, 0, {1, 2}}, {false, 1, {8, 9}}}),
            Found::an_order)
      << "what has no answer takes effect when it likes";
}

TEST(Search, no_order_is_found_for_a_spoilt_history) {
  EXPECT_EQ(found({{true, 1, {0, 1}}, {false, 0, {2, 3}}}), Found::none) << "a lost write";
  EXPECT_EQ(found({{true, 1, {0, 9}}, {false, 1, {1, 2}}, {false, 0, {3, 4}}}), Found::none)
      << "an old value after a new one";
  EXPECT_EQ(found({{false, 1, {0, 1}}, {true, 1, {2, 3}}}), Found::none) << "before its call";
  EXPECT_EQ(found({{true, 1, {0, 1}}, {true, 2, {2, 3}}, {false, 1, {4, 5}}}), Found::none)
      << "writes in the wrong order";
  EXPECT_EQ(found({{true, 1, {4, 0, true}}, {false, 1, {1, 2}}}), Found::none)
      << "the effect of a call that had not begun";
}

TEST(Search, a_search_that_reaches_its_bound_is_undecided) {
  History many;
  for (std::int64_t i = 0; i < 40; ++i) many.push_back({true, i, {0, 0, true}});
  many.push_back({false, 77, {1, 2}});
  EXPECT_EQ(found(many, 5'000), Found::unknown);
  EXPECT_LE(search_order<Register>(many, 0, 5'000).tried, 5'000u);
}

}  // namespace
}  // namespace semper::testing
