// A flush is believed only where no other one failed beside it: the kernel tells of a lost page
// once.
#include "flush_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <semaphore>
#include <string>
#include <thread>

#include "file_device_internal.h"
#include "file_worlds_test_support.h"

namespace semper::testing {
namespace {

using ::testing::HasSubstr;

TEST(FlushOrder, a_flush_alone_is_told_of_at_once) {
  semper::internal::FlushOrder order;
  std::string told;
  order.end(order.begin(), [&] { told += "a"; });
  order.end(order.begin(), [&] { told += "b"; });
  EXPECT_EQ(told, "ab");
}

TEST(FlushOrder, a_flush_is_told_of_when_all_have_ended_that_were_under_way_with_it) {
  semper::internal::FlushOrder order;
  std::string told;
  const auto a = order.begin();
  const auto b = order.begin();
  order.end(b, [&] { told += "b"; });
  EXPECT_EQ(told, "") << "a was under way with b";
  const auto c = order.begin();
  order.end(a, [&] { told += "a"; });
  EXPECT_EQ(told, "b") << "c began when b had ended, but is under way with a";
  order.end(c, [&] { told += "c"; });
  EXPECT_EQ(told, "bca");
}

TEST(FlushOrder, flushes_that_never_stop_coming_keep_none_waiting_for_ever) {
  semper::internal::FlushOrder order;
  int told = 0;
  auto before = order.begin();
  for (int i = 0; i < 1000; ++i) {
    const auto next = order.begin();
    order.end(before, [&] { ++told; });
    EXPECT_EQ(told, i);
    before = next;
  }
}

// The first flush waits until it may end, and fails; every other one succeeds, as the kernel has
// told of the failure already.
std::atomic<int> ordered_flushes = 0;
std::atomic<int> flushes_returned = 0;
std::binary_semaphore first_began{0};
std::binary_semaphore first_may_fail{0};
int flush_that_fails_once(int) {
  if (++ordered_flushes > 1) {
    ++flushes_returned;
    return 0;
  }
  first_began.release();
  first_may_fail.acquire();
  errno = EIO;
  return -1;
}

class FlushBesideAFailingOne : public ::testing::Test {
 protected:
  void open(IoMode mode, std::size_t threads) {
    ordered_flushes = flushes_returned = 0;
    calls_.fdatasync = flush_that_fails_once;
    const FileDeviceOptions options{.mode = mode, .max_threads = threads};
    auto opened = semper::internal::open_block_device_with(world_.path(), options, calls_);
    ASSERT_TRUE(opened);
    device_ = std::move(*opened);
  }
  std::thread flush(Status& status) {
    return std::thread([&] { status = run_on_a_scheduler(device_->flush()); });
  }
  static void wait_for(std::atomic<int>& count, int wanted) {
    while (count.load() < wanted) std::this_thread::yield();
  }

  FileWorld world_{{}};
  semper::internal::IoCalls calls_ = semper::internal::system_io_calls();
  std::unique_ptr<BlockDevice> device_;
  Status first_;
  Status second_;
};

TEST_F(FlushBesideAFailingOne, has_failed_too_although_the_kernel_says_that_it_has_not) {
  open(IoMode::threads, 2);
  auto one = flush(first_);
  first_began.acquire();
  auto two = flush(second_);
  wait_for(flushes_returned, 1);
  first_may_fail.release();
  one.join();
  two.join();
  ASSERT_FALSE(first_);
  ASSERT_FALSE(second_) << "what it was to make durable may be what the first one has lost";
  EXPECT_EQ(second_.error().kind(), ErrorKind::io);
  EXPECT_THAT(second_.error().message(), HasSubstr("takes nothing more"));
}

TEST_F(FlushBesideAFailingOne, is_not_asked_for_where_it_had_not_begun) {
  open(IoMode::threads, 1);
  asio::io_context context(1);
  const auto ask = [&](Status& status) -> Task<void> { status = co_await device_->flush(); };
  asio::co_spawn(context, ask(first_), asio::detached);
  context.poll();
  first_began.acquire();
  asio::co_spawn(context, ask(second_), asio::detached);
  context.restart();
  context.poll();  // it waits for the device's one thread
  first_may_fail.release();
  context.restart();
  context.run();
  EXPECT_FALSE(first_);
  EXPECT_FALSE(second_);
  EXPECT_EQ(ordered_flushes.load(), 1) << "the kernel has nothing more to say about what was lost";
}

TEST_F(FlushBesideAFailingOne, waits_for_it_on_the_callers_thread) {
  open(IoMode::inline_blocking, 1);
  auto one = flush(first_);
  first_began.acquire();
  auto two = flush(second_);
  // The other thread is at the flush, or before it; one that does not wait is through meanwhile.
  for (int turn = 0; turn < 10'000 && flushes_returned.load() == 0; ++turn) {
    std::this_thread::yield();
  }
  first_may_fail.release();
  one.join();
  two.join();
  EXPECT_FALSE(first_);
  EXPECT_FALSE(second_);
  EXPECT_EQ(ordered_flushes.load(), 1);
}

}  // namespace
}  // namespace semper::testing
