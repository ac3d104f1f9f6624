// A machine that is short of threads: what needs one is refused, and works when there are some.
#include <filesystem>

#include "env/shortage_test_support.h"
#include "semper/env/clock.h"
#include "test_place.h"

namespace semper::sqlite {
namespace {

using testing::NoThreads;

class Threads : public ::testing::Test {
 protected:
  // The threads that the test itself needs.
  Threads() {
    wait_for([]() -> Task<void> {
      static_cast<void>(co_await sleep_for(system_clock(), std::chrono::nanoseconds(1)));
    }());
  }
  template <class T>
  static void expect_exhausted(const Result<T>& result) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind(), ErrorKind::exhausted) << result.error().to_string();
    EXPECT_NE(result.error().message().find("thread"), std::string::npos)
        << result.error().to_string();
  }

  const TestPlace place_;
};

TEST_F(Threads, a_store_that_gets_none_is_not_opened_and_opens_later) {
  {
    const NoThreads none;
    expect_exhausted(open_store_at(place_.url()));
  }
  const Store store = must_open(place_.url());
  EXPECT_TRUE(put(store, "key", "1"));
}

TEST_F(Threads, a_watch_that_gets_none_is_refused_and_the_next_one_fires) {
  const Store store = must_open(place_.url());
  const Store other = must_open(place_.url());
  ASSERT_TRUE(put(store, "key", "1"));
  auto transaction = store.begin();
  {
    const NoThreads none;
    expect_exhausted(wait_for(transaction.watch("key")));
  }
  EXPECT_EQ(figure(store, "watches"), 0);
  const auto watch = wait_for(transaction.watch("key"));
  ASSERT_TRUE(watch) << watch.error().to_string();
  ASSERT_TRUE(put(other, "key", "2"));
  const auto told = wait_for((*watch)->changed(system_clock().after(std::chrono::seconds(10))));
  EXPECT_TRUE(told) << told.error().to_string();
}

TEST_F(Threads, a_check_that_gets_none_is_refused_and_the_next_one_runs) {
  const Store store = must_open(place_.url());
  {
    const NoThreads none;
    expect_exhausted(wait_for(store.backend().check()));
  }
  EXPECT_TRUE(wait_for(store.backend().check()));
}

TEST_F(Threads, a_backup_that_gets_none_is_refused_and_the_next_one_is_made) {
  const Store store = must_open(place_.url());
  const std::string copy = place_.folder() + "/copy";
  {
    const NoThreads none;
    expect_exhausted(wait_for(store.backend().backup(copy, {})));
  }
  EXPECT_TRUE(wait_for(store.backend().backup(copy, {})));
  EXPECT_TRUE(std::filesystem::exists(copy));
}

// It closes on the caller's thread.
TEST_F(Threads, a_store_closes_without_one) {
  const Store store = must_open(place_.url());
  ASSERT_TRUE(put(store, "key", "1"));
  const NoThreads none;
  const auto closed = wait_for(store.close());
  EXPECT_TRUE(closed) << closed.error().to_string();
  EXPECT_EQ(place_.listing(), "store.db");
}

}  // namespace
}  // namespace semper::sqlite
