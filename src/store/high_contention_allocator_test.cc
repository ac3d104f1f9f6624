#include "store/high_contention_allocator.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <vector>

#include "semper/testing/simulated_run.h"
#include "store/comparing_backend_test_support.h"

namespace semper::internal {
namespace {

using testing::ComparingBackend;
using testing::simulated_run;
using testing::SimulatedClock;

class Allocations : public ::testing::Test {
 protected:
  static constexpr std::uint64_t seed = 2024;

  struct Open {
    std::unique_ptr<Transaction> transaction;
    std::int64_t number;
  };

  Open open() {
    Open result{std::make_unique<Transaction>(backend_, env_), 0};
    result.number = allocate(*result.transaction).value();
    return result;
  }

  Result<std::int64_t> allocate(Transaction& transaction) {
    return simulated_run(clock_, allocator_.allocate(transaction));
  }

  // True: committed; false: conflict.
  bool commit(Open& open) {
    const auto committed = simulated_run(clock_, open.transaction->commit());
    if (!committed) {
      EXPECT_EQ(committed.error().kind(), ErrorKind::conflict) << committed.error().to_string();
    }
    return committed.has_value();
  }

  std::int64_t allocate_and_commit() {
    Open one = open();
    EXPECT_TRUE(commit(one));
    return one.number;
  }

  void set(const Bytes& key, const Bytes& value) {
    Transaction transaction(backend_, env_);
    transaction.set(key, value);
    ASSERT_TRUE(simulated_run(clock_, transaction.commit()));
  }

  SimulatedClock clock_;
  SeededRandom random_{seed};
  Env env_{&clock_, &random_};
  std::shared_ptr<ComparingBackend> backend_ = std::make_shared<ComparingBackend>();
  Subspace space_{{"allocator"}};
  HighContentionAllocator allocator_{space_, random_};
};

TEST_F(Allocations, numbers_one_after_another_are_unique_and_short) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::set<std::int64_t> seen;
  for (int i = 0; i < 600; ++i) EXPECT_TRUE(seen.insert(allocate_and_commit()).second) << i;
  EXPECT_GE(*seen.begin(), 0);
  EXPECT_LT(*seen.rbegin(), 2 * 600 + 1024);
  EXPECT_EQ(backend_->conflicts, 0);
}

TEST_F(Allocations, the_records_of_old_windows_are_removed) {
  for (int i = 0; i < 600; ++i) allocate_and_commit();
  EXPECT_LE(backend_->rows().size(), 1024 / 2 + 1);
}

TEST_F(Allocations, many_in_one_transaction_are_unique_across_windows) {
  Transaction transaction(backend_, env_);
  std::set<std::int64_t> seen;
  for (int i = 0; i < 300; ++i) {
    EXPECT_TRUE(seen.insert(allocate(transaction).value()).second) << i;
  }
  ASSERT_TRUE(simulated_run(clock_, transaction.commit()));
  for (int i = 0; i < 300; ++i) EXPECT_TRUE(seen.insert(allocate_and_commit()).second) << i;
}

TEST_F(Allocations, transactions_side_by_side_seldom_conflict) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  for (int i = 0; i < 600; ++i) allocate_and_commit();  // into windows of 1024
  std::vector<Open> side_by_side;
  for (int i = 0; i < 20; ++i) side_by_side.push_back(open());
  int committed = 0;
  for (Open& one : side_by_side) committed += commit(one) ? 1 : 0;
  EXPECT_GE(committed, 17);  // only equal draws conflict: 20 of some 900 numbers
}

TEST_F(Allocations, the_same_number_drawn_twice_is_given_once) {
  SeededRandom one(7);
  SeededRandom other(7);
  Transaction first(backend_, env_);
  Transaction second(backend_, env_);
  const HighContentionAllocator first_allocator(space_, one);
  const HighContentionAllocator second_allocator(space_, other);
  ASSERT_EQ(simulated_run(clock_, first_allocator.allocate(first)).value(),
            simulated_run(clock_, second_allocator.allocate(second)).value());
  EXPECT_TRUE(simulated_run(clock_, first.commit()));
  EXPECT_EQ(simulated_run(clock_, second.commit()).error().kind(), ErrorKind::conflict);
}

// The engine below sees no conflict in a record that was made and removed again: a transaction that
// slept through a whole window must still not commit the number that another one got meanwhile.
TEST_F(Allocations, transactions_that_slept_through_windows_commit_no_number_twice) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::set<std::int64_t> given;
  int given_in_all = 0;
  std::vector<Open> asleep;
  for (int i = 0; i < 4000; ++i) {
    asleep.push_back(open());
    if (asleep.size() < 100 && random_.below(3) != 0) continue;
    const auto which = random_.below(asleep.size());
    std::swap(asleep[which], asleep.back());
    if (commit(asleep.back())) {
      EXPECT_TRUE(given.insert(asleep.back().number).second) << asleep.back().number;
      ++given_in_all;
    }
    asleep.pop_back();
  }
  EXPECT_GT(given_in_all, 500);
  EXPECT_GT(backend_->conflicts, 0);
}

TEST_F(Allocations, a_counter_of_another_length_is_reported_and_not_guessed) {
  set(space_.pack({0, 0}), "12345");
  Transaction transaction(backend_, env_);
  EXPECT_EQ(allocate(transaction).error().kind(), ErrorKind::corrupt);
}

TEST_F(Allocations, a_window_that_is_not_a_number_is_reported) {
  for (const TupleElement& start : {TupleElement("x"), TupleElement(-64),
                                    TupleElement(std::numeric_limits<std::int64_t>::max())}) {
    SCOPED_TRACE(to_hex(Tuple{start}.pack()));
    set(space_.pack({0, start}), Bytes(8, '\0'));
    Transaction transaction(backend_, env_);
    EXPECT_EQ(allocate(transaction).error().kind(), ErrorKind::corrupt);
  }
}

TEST_F(Allocations, a_full_window_whose_counter_says_otherwise_ends_the_search) {
  for (int number = 0; number < 64; ++number) set(space_.pack({1, number}), "");
  Transaction transaction(backend_, env_);
  const auto result = allocate(transaction);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind(), ErrorKind::corrupt);
}

}  // namespace
}  // namespace semper::internal
