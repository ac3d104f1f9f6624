#include "semper/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

#include "semper/base/value.h"

namespace semper {
namespace {

TEST(ErrorTest, every_kind_comes_back_from_its_name) {
  for (int number = 1; number <= static_cast<int>(ErrorKind::internal); ++number) {
    const auto kind = static_cast<ErrorKind>(number);
    EXPECT_FALSE(to_string(kind).empty());
    EXPECT_EQ(error_kind_from(to_string(kind)), kind) << number;
  }
  EXPECT_EQ(to_string(ErrorKind::outcome_unknown), "outcome_unknown");
  EXPECT_EQ(to_string(ErrorKind::exhausted), "exhausted");
}

TEST(ErrorTest, an_unknown_name_or_number_is_internal) {
  EXPECT_EQ(error_kind_from("no such kind"), ErrorKind::internal);
  EXPECT_EQ(error_kind_from(""), ErrorKind::internal);
  EXPECT_EQ(to_string(static_cast<ErrorKind>(0)), "internal");
  EXPECT_EQ(to_string(static_cast<ErrorKind>(200)), "internal");
}

TEST(ErrorTest, a_place_is_put_in_front_and_the_kind_stays) {
  const Error error = Error(ErrorKind::corrupt, "checksum differs").in("sector 7").in("ring a");
  EXPECT_EQ(error.to_string(), "corrupt: ring a: sector 7: checksum differs");
}

TEST(ErrorTest, only_kinds_that_may_succeed_unchanged_are_retryable) {
  EXPECT_TRUE(Error(ErrorKind::retry, "").is_retryable());
  EXPECT_TRUE(Error(ErrorKind::suspended, "").is_retryable());
  EXPECT_TRUE(Error(ErrorKind::conflict, "").is_retryable());
  EXPECT_FALSE(Error(ErrorKind::outcome_unknown, "").is_retryable());
  EXPECT_FALSE(Error(ErrorKind::timeout, "").is_retryable());
  EXPECT_FALSE(Error(ErrorKind::io, "").is_retryable());
}

TEST(ErrorTest, the_limit_that_was_hit_is_a_field_that_stays_when_a_place_is_added) {
  const Error full(ErrorKind::retry, Limit{"max_waiting", 12}, "12 calls wait already");
  const Error placed = full.in("the ring");
  ASSERT_TRUE(placed.limit());
  EXPECT_STREQ(placed.limit()->name, "max_waiting");
  EXPECT_EQ(placed.limit()->value, 12u);
  EXPECT_EQ(placed.to_string(), "retry: the ring: 12 calls wait already");
  EXPECT_FALSE(Error(ErrorKind::exhausted, "the disk is full").limit());
  const Result<int> failed = fail(ErrorKind::exhausted, Limit{"value_bytes", 9}, "too large");
  EXPECT_STREQ(failed.error().limit()->name, "value_bytes");
}

Result<std::unique_ptr<int>> positive(int number);

Result<int> half(int number) {
  SEMPER_RETURN_IF_ERROR(number % 2 == 0 ? Status() : Status(fail(ErrorKind::not_found, "odd")));
  return number / 2;
}

Result<int> quarter(int number) {
  SEMPER_ASSIGN_OR_RETURN(const int halved, half(number));
  SEMPER_ASSIGN_OR_RETURN(const int again, half(halved));
  return again;
}

TEST(ResultTest, assign_or_return_gives_the_value_or_returns_the_error) {
  EXPECT_EQ(quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message(), "odd");
}

TEST(ResultTest, value_gives_what_there_is_or_throws_the_error) {
  EXPECT_EQ(value(quarter(8)), 2);
  EXPECT_EQ(*value(positive(1)), 1) << "also what can only be moved";
  EXPECT_NO_THROW(value(Status()));
  try {
    value(quarter(6));
    FAIL() << "it returned";
  } catch (const ErrorException& thrown) {
    EXPECT_EQ(thrown.error().kind(), ErrorKind::not_found);
    EXPECT_STREQ(thrown.what(), "not_found: odd");
  }
}

TEST(ErrorTest, errno_gives_the_kind_the_text_and_the_number) {
  const Error error = error_from_errno(ENOENT, "open data.db");
  EXPECT_EQ(error.kind(), ErrorKind::not_found);
  EXPECT_EQ(error.message(), "open data.db: No such file or directory (errno 2)");
  EXPECT_EQ(error_from_errno(EEXIST, "").kind(), ErrorKind::already_exists);
  EXPECT_EQ(error_from_errno(EAGAIN, "").kind(), ErrorKind::retry);
  EXPECT_EQ(error_from_errno(EACCES, "").kind(), ErrorKind::permission);
  EXPECT_EQ(error_from_errno(ENOSPC, "").kind(), ErrorKind::exhausted);
  EXPECT_EQ(error_from_errno(EOPNOTSUPP, "").kind(), ErrorKind::unsupported);
  EXPECT_EQ(error_from_errno(ETIMEDOUT, "").kind(), ErrorKind::timeout);
  EXPECT_EQ(error_from_errno(ECONNRESET, "").kind(), ErrorKind::closed);
  EXPECT_EQ(error_from_errno(ECANCELED, "").kind(), ErrorKind::cancelled);
  EXPECT_EQ(error_from_errno(EINVAL, "").kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(error_from_errno(EIO, "").kind(), ErrorKind::io);
}

Result<std::unique_ptr<int>> positive(int number) {
  if (number <= 0) return fail(ErrorKind::invalid_argument, "not positive");
  return std::make_unique<int>(number);
}
Status check(int number) {
  SEMPER_TRY_STATUS(positive(number));
  return {};
}
Result<int> sum(int left, int right) {
  SEMPER_TRY(auto first, positive(left));
  SEMPER_TRY(const std::unique_ptr<int> second, positive(right));
  return *first + *second;
}

TEST(ResultTest, try_returns_the_first_error_and_moves_values) {
  EXPECT_EQ(sum(1, 2).value(), 3);
  EXPECT_EQ(sum(1, 0).error(), Error(ErrorKind::invalid_argument, "not positive"));
  EXPECT_EQ(sum(0, 1).error().message(), "not positive");
}

TEST(ResultTest, try_status_returns_the_error_of_any_result) {
  EXPECT_TRUE(check(1).has_value());
  EXPECT_EQ(check(0).error().kind(), ErrorKind::invalid_argument);
}

}  // namespace
}  // namespace semper
