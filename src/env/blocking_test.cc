#include "semper/env/blocking.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "semper/env/scheduler.h"

namespace semper {
namespace {

TEST(RunBlocking, the_function_runs_elsewhere_and_its_coroutine_goes_on_where_it_was) {
  Scheduler scheduler;
  std::thread::id before, inside, after;
  auto work = [&]() -> Async<int> {
    before = std::this_thread::get_id();
    auto answer = co_await run_blocking([&] {
      inside = std::this_thread::get_id();
      return 7;
    });
    after = std::this_thread::get_id();
    co_return answer;
  };
  EXPECT_EQ(scheduler.block_on(work()), 7);
  EXPECT_EQ(before, after);
  EXPECT_NE(before, inside);
}

TEST(RunBlocking, what_the_function_returns_or_throws_is_the_answer) {
  Scheduler scheduler;
  auto work = []() -> Task<void> {
    auto moved = co_await run_blocking([] { return std::make_unique<int>(3); });
    EXPECT_EQ(**moved, 3);
    auto refused =
        co_await run_blocking([]() -> Result<int> { return fail(ErrorKind::io, "nobody there"); });
    EXPECT_EQ(refused.error(), Error(ErrorKind::io, "nobody there"));
    bool ran = false;
    auto nothing = co_await run_blocking([&] { ran = true; });
    EXPECT_TRUE(nothing);
    EXPECT_TRUE(ran);
    auto thrown = co_await run_blocking([]() -> int { throw std::runtime_error("trouble"); });
    EXPECT_EQ(thrown.error().kind(), ErrorKind::internal);
    EXPECT_NE(thrown.error().message().find("trouble"), std::string::npos);
    auto odd = co_await run_blocking([]() -> int { throw 7; });
    EXPECT_EQ(odd.error().kind(), ErrorKind::internal);
  };
  scheduler.block_on(work());
}

TEST(RunBlocking, a_cancelled_coroutine_goes_on_only_when_the_function_has_ended) {
  std::promise<void> begun, release;
  std::optional<bool> ended_before;
  bool ended = false;
  asio::io_context context(1);
  auto work = [&]() -> Task<void> {
    auto done = co_await run_blocking([&] {
      begun.set_value();
      release.get_future().wait();
      ended = true;
    });
    EXPECT_TRUE(done);
    ended_before = ended;
  };
  asio::cancellation_signal signal;
  asio::co_spawn(context, work(), asio::bind_cancellation_slot(signal.slot(), asio::detached));
  context.poll();
  begun.get_future().wait();
  signal.emit(asio::cancellation_type::terminal);
  context.poll();
  EXPECT_FALSE(ended_before) << "it uses what the coroutine holds";
  release.set_value();
  context.run();
  EXPECT_EQ(ended_before, true);
}

TEST(RunBlocking, a_loop_that_is_destroyed_waits_for_the_function) {
  std::promise<void> begun, release;
  std::atomic<bool> ended = false;
  auto context = std::make_unique<asio::io_context>(1);
  auto work = [&]() -> Task<void> {
    std::string held(100, 'x');
    static_cast<void>(co_await run_blocking([&] {
      begun.set_value();
      release.get_future().wait();
      held += 'y';
      ended = true;
    }));
  };
  asio::co_spawn(*context, work(), asio::detached);
  context->poll();
  begun.get_future().wait();
  std::thread releases([&] { release.set_value(); });
  context.reset();
  EXPECT_TRUE(ended);
  releases.join();
}

TEST(RunBlocking, more_calls_than_threads_all_end) {
  Scheduler scheduler;
  std::atomic<int> ran = 0;
  std::vector<std::future<void>> ends;
  for (std::size_t i = 0; i < 3 * kBlockingThreads; ++i) {
    auto promise = std::make_shared<std::promise<void>>();
    ends.push_back(promise->get_future());
    auto work = [](std::atomic<int>& count) -> Task<void> {
      EXPECT_TRUE(co_await run_blocking([&] { ++count; }));
    };
    asio::co_spawn(scheduler.executor(), work(ran),
                   [promise](std::exception_ptr) { promise->set_value(); });
  }
  for (auto& end : ends) end.wait();
  EXPECT_EQ(ran, static_cast<int>(3 * kBlockingThreads));
}

}  // namespace
}  // namespace semper
