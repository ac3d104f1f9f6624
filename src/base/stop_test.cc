#include "semper/base/stop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "semper/base/internal/own_stop.h"

namespace semper {
namespace {

// The standard library's, and ours for those that have none.
struct StandardStop {
  using Source = StopSource;
  using Token = StopToken;
  template <class F>
  using Callback = StopCallback<F>;
};
struct OwnStop {
  using Source = internal::OwnStopSource;
  using Token = internal::OwnStopToken;
  template <class F>
  using Callback = internal::OwnStopCallback<F>;
};

template <class Stop>
class StopTest : public ::testing::Test {};
using Stops = ::testing::Types<StandardStop, OwnStop>;
TYPED_TEST_SUITE(StopTest, Stops);

using Function = std::function<void()>;

TYPED_TEST(StopTest, a_token_tells_what_was_requested_once_and_for_all) {
  typename TypeParam::Source source;
  const auto token = source.get_token();
  EXPECT_TRUE(token.stop_possible());
  EXPECT_FALSE(token.stop_requested());
  EXPECT_TRUE(source.request_stop());
  EXPECT_FALSE(source.request_stop());
  EXPECT_TRUE(token.stop_requested());
  EXPECT_TRUE(source.stop_requested());
  EXPECT_TRUE(source.get_token() == token);
}

TYPED_TEST(StopTest, without_a_source_no_stop_can_come) {
  const typename TypeParam::Token none;
  EXPECT_FALSE(none.stop_possible());
  EXPECT_FALSE(none.stop_requested());
  typename TypeParam::Token left;
  typename TypeParam::Token requested;
  {
    typename TypeParam::Source source;
    typename TypeParam::Source copy = source;
    const typename TypeParam::Source moved = std::move(source);
    left = moved.get_token();
    EXPECT_TRUE(left.stop_possible());
    typename TypeParam::Source other;
    requested = other.get_token();
    other.request_stop();
    copy = other;
    EXPECT_TRUE(copy.stop_requested());
  }
  EXPECT_FALSE(left.stop_possible());
  EXPECT_TRUE(requested.stop_possible()) << "it has come";
}

TYPED_TEST(StopTest, a_callback_runs_once_at_the_request_or_at_once_after_it) {
  using Callback = typename TypeParam::template Callback<Function>;
  typename TypeParam::Source source;
  int before = 0;
  int after = 0;
  int gone = 0;
  int never = 0;
  const Callback first(source.get_token(), [&] { ++before; });
  std::optional<Callback> removed;
  removed.emplace(source.get_token(), [&] { ++gone; });
  removed.reset();
  const Callback of_none(typename TypeParam::Token(), [&] { ++never; });
  source.request_stop();
  source.request_stop();
  const Callback second(source.get_token(), [&] { ++after; });
  EXPECT_EQ(before, 1);
  EXPECT_EQ(after, 1);
  EXPECT_EQ(gone, 0);
  EXPECT_EQ(never, 0);
}

TYPED_TEST(StopTest, a_callback_may_destroy_itself_and_others) {
  using Callback = typename TypeParam::template Callback<Function>;
  typename TypeParam::Source source;
  std::vector<std::optional<Callback>> all(3);
  int ran = 0;
  for (auto& one : all) {
    one.emplace(source.get_token(), [&] {
      ++ran;
      for (auto& each : all) each.reset();
    });
  }
  source.request_stop();
  EXPECT_EQ(ran, 1);
}

TYPED_TEST(StopTest, a_callback_that_runs_on_another_thread_is_waited_for) {
  using Callback = typename TypeParam::template Callback<Function>;
  for (int round = 0; round < 200; ++round) {
    typename TypeParam::Source source;
    std::atomic<bool> begun = false;
    std::atomic<bool> is_there = true;
    std::atomic<bool> was_gone = false;
    std::optional<Callback> callback;
    callback.emplace(source.get_token(), [&] {
      begun = true;
      for (int i = 0; i < 100; ++i) std::this_thread::yield();
      if (!is_there) was_gone = true;
    });
    std::thread stopper([&] { source.request_stop(); });
    if (round % 2 == 0) {
      while (!begun) std::this_thread::yield();
    }
    callback.reset();
    is_there = false;
    stopper.join();
    EXPECT_FALSE(was_gone);
  }
}

TYPED_TEST(StopTest, requests_and_callbacks_of_many_threads_meet_once) {
  using Callback = typename TypeParam::template Callback<Function>;
  for (int round = 0; round < 50; ++round) {
    typename TypeParam::Source source;
    std::atomic<int> requests = 0;
    std::atomic<int> ran = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&, token = source.get_token()] {
        const Callback callback(token, [&] { ++ran; });
        if (source.request_stop()) ++requests;
        while (!token.stop_requested()) std::this_thread::yield();
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(requests, 1);
    EXPECT_LE(ran, 4);
    EXPECT_GE(ran, 1);
  }
}

}  // namespace
}  // namespace semper
