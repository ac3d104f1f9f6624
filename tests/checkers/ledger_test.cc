// Right books pass, and so do no spoilt ones.
#include "ledger.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace semper::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Books = std::map<std::string, AccountBook>;

const std::map<std::uint64_t, Fate> kAsked = {
    {1, Fate::done}, {2, Fate::refused}, {3, Fate::open}, {4, Fate::open}};

std::vector<std::string> wrong(const Books& books) {
  return judge_ledger(20, books, kAsked);
}

Books right() {
  return {{"a", {7, {1}, {}}}, {"b", {13, {3}, {1, 3}}}};
}

TEST(Ledgers, right_books_are_accepted) {
  EXPECT_THAT(wrong(right()), IsEmpty());
}

TEST(Ledgers, money_that_was_made_or_lost_is_found) {
  auto books = right();
  books["a"].balance += 1;
  EXPECT_THAT(wrong(books), Contains(HasSubstr("have 21 together")));
  books["a"].balance = -5;
  books["b"].balance = 25;
  EXPECT_THAT(wrong(books), Contains(HasSubstr("account a has -5")));
}

TEST(Ledgers, a_transfer_that_was_lost_or_done_twice_is_found) {
  auto books = right();
  books["b"].in = {3};
  EXPECT_THAT(wrong(books), Contains("transfer 1 went out and never came in"));
  books = right();
  books["b"].in.push_back(1);
  EXPECT_THAT(wrong(books), Contains("transfer 1 came in 2 times"));
  books = right();
  books["a"].out.push_back(3);
  EXPECT_THAT(wrong(books), Contains("transfer 3 went out 2 times"));
  books = right();
  books["a"].out.clear();
  EXPECT_THAT(wrong(books), Contains("transfer 1 was acknowledged and never went out"));
}

TEST(Ledgers, a_transfer_that_was_refused_or_never_asked_for_is_found) {
  auto books = right();
  books["a"].out.push_back(2);
  books["b"].in.push_back(2);
  EXPECT_THAT(wrong(books), Contains("transfer 2 was refused and went out"));
  books = right();
  books["a"].in.push_back(9);
  EXPECT_THAT(wrong(books), Contains("transfer 9 came in and never went out"));
  books["b"].out.push_back(9);
  EXPECT_THAT(wrong(books), Contains("transfer 9 went out and was never asked for"));
}

}  // namespace
}  // namespace semper::testing
