#include "semper/env/one_shot.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "semper/env/scheduler.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;

TEST(OneShot, a_value_that_came_before_the_wait_is_not_lost) {
  SimulatedClock clock;
  OneShot<int> one_shot;
  EXPECT_TRUE(one_shot.set(7));
  EXPECT_TRUE(one_shot.is_set());
  EXPECT_EQ(simulated_run(clock, one_shot.wait()), 7);
}

TEST(OneShot, the_first_value_wins) {
  SimulatedClock clock;
  OneShot<std::string> one_shot;
  EXPECT_TRUE(one_shot.set("first"));
  EXPECT_FALSE(one_shot.set("second"));
  EXPECT_FALSE(one_shot.set_inline("third"));
  EXPECT_EQ(simulated_run(clock, one_shot.wait()), "first");
}

TEST(OneShot, a_value_that_can_only_be_moved_arrives) {
  SimulatedClock clock;
  OneShot<std::unique_ptr<int>> one_shot;
  one_shot.set(std::make_unique<int>(3));
  EXPECT_EQ(**simulated_run(clock, one_shot.wait()), 3);
}

TEST(OneShot, copies_share_one_state) {
  SimulatedClock clock;
  OneShot<int> one_shot;
  OneShot<int> copy = one_shot;
  copy.set(1);
  EXPECT_TRUE(one_shot.is_set());
  EXPECT_EQ(simulated_run(clock, one_shot.wait()), 1);
}

TEST(OneShot, a_deadline_ends_the_wait_and_the_value_may_still_come) {
  SimulatedClock clock;
  OneShot<int> one_shot;
  const auto deadline = clock.after(5s);
  const auto timed_out = simulated_run(clock, one_shot.wait_until(clock, deadline));
  ASSERT_FALSE(timed_out);
  EXPECT_EQ(timed_out.error().kind(), ErrorKind::timeout);
  EXPECT_EQ(clock.now(), deadline);
  one_shot.set(2);
  EXPECT_EQ(simulated_run(clock, one_shot.wait_until(clock, clock.after(1s))), 2);
  EXPECT_EQ(clock.pending_timers(), 0u);
}

TEST(OneShot, a_deadline_in_the_past_gives_what_is_there_without_waiting) {
  SimulatedClock clock;
  OneShot<int> one_shot;
  const auto past = clock.now() - 1s;
  EXPECT_EQ(simulated_run(clock, one_shot.wait_until(clock, past)).error().kind(),
            ErrorKind::timeout);
  one_shot.set(2);
  EXPECT_EQ(simulated_run(clock, one_shot.wait_until(clock, past)), 2);
}

TEST(OneShot, never_is_no_deadline) {
  SimulatedClock clock;
  OneShot<int> one_shot;
  clock.call_at(clock.after(1h), [one_shot]() mutable { one_shot.set(1); });
  EXPECT_EQ(simulated_run(clock, one_shot.wait_until(clock, kNever)), 1);
}

// A clock whose timers fire the moment they are made, as a busy machine's may.
class HastyClock final : public Clock {
 public:
  MonotonicTime now() const noexcept override { return MonotonicTime(1s); }
  WallTime wall_time() const noexcept override { return WallTime(); }
  TimerId call_at(MonotonicTime, std::function<void()> callback) override {
    if (hasty) {
      callback();
    } else {
      kept.push_back(std::move(callback));
    }
    return 1;
  }
  bool cancel(TimerId) noexcept override { return false; }

  bool hasty = true;
  std::vector<std::function<void()>> kept;
};

TEST(OneShot, a_timer_that_fires_before_the_wait_is_registered_ends_it) {
  SimulatedClock clock;
  HastyClock hasty;
  OneShot<int> one_shot;
  const auto waited = simulated_run(clock, one_shot.wait_until(hasty, MonotonicTime(2s)));
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().kind(), ErrorKind::timeout);
}

// Fires every timer at once, on a thread of its own that does nothing else.
class RacingClock final : public Clock {
 public:
  RacingClock() : thread_([this] { run(); }) {}
  ~RacingClock() override {
    is_over_.store(true);
    thread_.join();
  }

  MonotonicTime now() const noexcept override { return MonotonicTime(1s); }
  WallTime wall_time() const noexcept override { return {}; }
  TimerId call_at(MonotonicTime, std::function<void()> callback) override {
    next_ = std::move(callback);
    is_set_.store(true, std::memory_order_release);
    return 1;
  }
  bool cancel(TimerId) noexcept override { return false; }

  // How many have been fired.
  std::uint64_t rounds() const { return rounds_.load(std::memory_order_acquire); }

 private:
  void run() {
    while (!is_over_.load(std::memory_order_relaxed)) {
      if (!is_set_.load(std::memory_order_acquire)) continue;
      auto fire = std::move(next_);
      is_set_.store(false, std::memory_order_relaxed);
      fire();
      rounds_.fetch_add(1, std::memory_order_release);
    }
  }

  std::function<void()> next_;
  std::atomic<bool> is_set_ = false;
  std::atomic<bool> is_over_ = false;
  std::atomic<std::uint64_t> rounds_ = 0;
  std::thread thread_;
};

// A wait that nobody ends any more is one that waits for ever: a sleep of no time, on a busy
// machine.
TEST(OneShot, a_timer_that_fires_while_the_wait_is_registered_ends_it) {
  constexpr std::uint64_t kWaits = 2'000;
  RacingClock clock;
  Scheduler scheduler({.threads = 1, .name = "waiting"});
  std::atomic<std::uint64_t> ended = 0;
  std::promise<void> done;
  asio::co_spawn(
      scheduler.executor(),
      [&]() -> Task<void> {
        for (std::uint64_t i = 0; i < kWaits; ++i) {
          OneShot<int> never;
          const auto waited = co_await never.wait_until(clock, MonotonicTime(2s));
          EXPECT_EQ(waited.error().kind(), ErrorKind::timeout);
          while (clock.rounds() == i) std::this_thread::yield();  // one timer at a time
          ended.fetch_add(1);
        }
      },
      [&](std::exception_ptr) { done.set_value(); });
  const auto all = done.get_future().wait_for(1min);
  EXPECT_EQ(all, std::future_status::ready) << "the wait after " << ended << " was lost";
}

// A clock whose timers never fire, and whose cancel() waits until it is let go on.
class SlowToCancel final : public Clock {
 public:
  MonotonicTime now() const noexcept override { return MonotonicTime(1s); }
  WallTime wall_time() const noexcept override { return {}; }
  TimerId call_at(MonotonicTime, std::function<void()>) override { return 1; }
  bool cancel(TimerId) noexcept override {
    cancelling.set_value();
    go_on.get_future().wait();
    return true;
  }

  std::promise<void> cancelling;
  std::promise<void> go_on;
};

TEST(OneShot, a_value_that_is_set_inline_while_the_loop_of_its_waiter_is_destroyed_is_dropped) {
  SlowToCancel clock;
  auto loop = std::make_unique<asio::io_context>(1);
  OneShot<int> one_shot;
  asio::co_spawn(
      *loop,
      [](OneShot<int> awaited, Clock& timers) -> Task<void> {
        static_cast<void>(co_await awaited.wait_until(timers, MonotonicTime(2s)));
        ADD_FAILURE() << "its loop does not run";
      }(one_shot, clock),
      asio::detached);
  loop->poll();
  std::thread setter([&] { one_shot.set_inline(7); });
  clock.cancelling.get_future().wait();
  loop.reset();
  clock.go_on.set_value();
  setter.join();
}

TEST(OneShot, a_timer_of_an_earlier_wait_does_not_end_a_later_one) {
  SimulatedClock clock;
  HastyClock late;
  late.hasty = false;
  OneShot<int> one_shot;
  asio::cancellation_signal signal;
  Result<int> second = 0;
  simulated_run(clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    // The first wait is cancelled, but its timer has already left the clock.
    asio::co_spawn(
        executor,
        [&]() -> Task<void> {
          const auto first = co_await one_shot.wait_until(late, MonotonicTime(2s));
          EXPECT_EQ(first.error().kind(), ErrorKind::cancelled);
        },
        asio::bind_cancellation_slot(signal.slot(), [](std::exception_ptr) {}));
    co_await yield_now();
    signal.emit(asio::cancellation_type::terminal);
    co_await yield_now();
    asio::co_spawn(
        executor, [&]() -> Task<void> { second = co_await one_shot.wait(); }, asio::detached);
    co_await yield_now();
    EXPECT_EQ(late.kept.size(), 1u);
    for (const auto& fire : late.kept) fire();
    signal.emit(asio::cancellation_type::terminal);
    one_shot.set(5);
    co_await yield_now();
    co_await yield_now();
  }());
  EXPECT_EQ(second, 5);
}

TEST(OneShot, a_cancelled_wait_says_cancelled_and_the_value_is_kept) {
  SimulatedClock clock;
  OneShot<int> one_shot;
  asio::cancellation_signal signal;
  simulated_run(clock, [&]() -> Task<void> {
    asio::co_spawn(
        co_await asio::this_coro::executor,
        [&]() -> Task<void> {
          const auto waited = co_await one_shot.wait();
          EXPECT_FALSE(waited);
          EXPECT_EQ(waited.error().kind(), ErrorKind::cancelled);
        },
        asio::bind_cancellation_slot(signal.slot(), [](std::exception_ptr) {}));
    co_await yield_now();
    signal.emit(asio::cancellation_type::terminal);
    co_await yield_now();
    EXPECT_FALSE(one_shot.is_set());
    one_shot.set(9);
    EXPECT_EQ(co_await one_shot.wait(), 9);
  }());
}

TEST(OneShot, the_waiter_is_resumed_on_its_own_executor) {
  Scheduler waiting;
  OneShot<int> one_shot;
  std::thread::id before;
  std::thread::id after;
  OneShot<int> ended;
  asio::co_spawn(
      waiting.executor(),
      [&]() -> Task<void> {
        before = std::this_thread::get_id();
        EXPECT_EQ(co_await one_shot.wait(), 1);
        after = std::this_thread::get_id();
        ended.set(1);
      },
      asio::detached);
  one_shot.set_inline(1);
  Scheduler other;
  EXPECT_EQ(other.block_on(ended.wait()), 1);
  EXPECT_EQ(before, after);
}

TEST(OneShot, set_inline_resumes_before_it_returns_on_the_waiters_own_thread) {
  SimulatedClock clock;
  std::string order;
  simulated_run(clock, [&]() -> Task<void> {
    OneShot<int> posted;
    OneShot<int> at_once;
    const auto executor = co_await asio::this_coro::executor;
    auto waiter = [&order](OneShot<int> on, char name) -> Task<void> {
      EXPECT_TRUE(co_await on.wait());
      order += name;
    };
    asio::co_spawn(executor, waiter(posted, 'p'), asio::detached);
    asio::co_spawn(executor, waiter(at_once, 'i'), asio::detached);
    co_await yield_now();
    posted.set(1);
    order += '1';
    at_once.set_inline(1);
    order += '2';
    co_await yield_now();
  }());
  EXPECT_EQ(order, "1i2p");
}

// ---- what the resumed code throws ----

Task<void> wait_and_throw(OneShot<int> on, int& answered, bool throws) {
  EXPECT_TRUE(co_await on.wait());
  ++answered;
  if (throws) throw std::runtime_error("the waiter's trouble");
}

void rethrow(std::exception_ptr thrown) {
  if (thrown) std::rethrow_exception(thrown);
}

TEST(OneShot,
     what_a_resumed_coroutine_throws_leaves_its_loop_and_spares_the_setter_and_the_others) {
  for (const bool on_strand : {false, true}) {
    asio::io_context context(1);
    Executor executor = context.get_executor();
    if (on_strand) executor = asio::make_strand(context);
    OneShot<int> alone;
    std::vector<std::pair<OneShot<int>, int>> together(3);
    int answered = 0;
    asio::co_spawn(executor, wait_and_throw(alone, answered, true), rethrow);
    for (std::size_t i = 0; i < together.size(); ++i) {
      asio::co_spawn(executor, wait_and_throw(together[i].first, answered, i == 0), rethrow);
    }
    bool setter_goes_on = false;
    auto set = [&]() -> Task<void> {
      alone.set_inline(1);
      setter_goes_on = true;
      OneShot<int>::set_all(together);
      co_return;
    };
    asio::co_spawn(executor, set(), rethrow);
    int thrown = 0;
    for (bool done = false; !done;) {
      try {
        context.run();
        done = true;
      } catch (const std::runtime_error&) {
        ++thrown;
      }
    }
    EXPECT_TRUE(setter_goes_on);
    EXPECT_EQ(answered, 4);
    EXPECT_EQ(thrown, 2) << "out of run(), as from any handler";
  }
}

// ---- a loop with several threads ----

Task<void> wait_and_tell(OneShot<int> on, std::promise<void>* told) {
  EXPECT_TRUE(co_await on.wait());
  if (told != nullptr) told->set_value();
}

TEST(OneShot, a_strand_that_is_blocked_holds_up_no_other_of_its_loop) {
  asio::io_context context(2);
  std::promise<void> told;
  std::vector<std::pair<OneShot<int>, int>> together(2);
  const Executor blocked = asio::make_strand(context);
  const Executor free = asio::make_strand(context);
  asio::co_spawn(blocked, wait_and_tell(together[0].first, nullptr), rethrow);
  asio::co_spawn(free, wait_and_tell(together[1].first, &told), rethrow);
  context.poll();  // both wait
  bool was_let_go = false;
  asio::post(blocked, [&] {
    OneShot<int>::set_all(together);
    was_let_go = told.get_future().wait_for(std::chrono::seconds(10)) == std::future_status::ready;
  });
  std::thread other([&] { context.run(); });
  context.run();
  other.join();
  EXPECT_TRUE(was_let_go) << "the second waiter is woken by the strand of the first";
}

// ---- when the context goes first ----

struct CountsLiving {
  explicit CountsLiving(std::atomic<int>& living) : count(living) { ++count; }
  ~CountsLiving() { --count; }
  CountsLiving(const CountsLiving&) = delete;
  CountsLiving& operator=(const CountsLiving&) = delete;
  std::atomic<int>& count;
};

TEST(OneShot, a_coroutine_still_waiting_is_destroyed_with_its_scheduler) {
  std::atomic<int> living{0};
  OneShot<int> one_shot;
  {
    Scheduler scheduler;
    OneShot<int> started;
    asio::co_spawn(
        scheduler.executor(),
        [&]() -> Task<void> {
          CountsLiving local(living);
          started.set(1);
          static_cast<void>(co_await one_shot.wait());
          ADD_FAILURE() << "nobody has set the value";
        },
        asio::detached);
    EXPECT_EQ(scheduler.block_on(started.wait()), 1);
    EXPECT_EQ(living, 1);
  }
  EXPECT_EQ(living, 0);
  EXPECT_TRUE(one_shot.set(1)) << "a value for nobody is dropped";
}

TEST(OneShot, a_chain_of_waiting_coroutines_is_destroyed_whole) {
  SimulatedClock clock;
  std::atomic<int> living{0};
  OneShot<int> one_shot;
  auto inner = [&]() -> Async<int> {
    CountsLiving local(living);
    co_return co_await one_shot.wait_until(clock, clock.after(1h));
  };
  auto outer = [&]() -> Task<void> {
    CountsLiving local(living);
    static_cast<void>(co_await inner());
  };
  simulated_run(clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    for (int i = 0; i < 1; ++i) asio::co_spawn(executor, outer(), asio::detached);
    co_await yield_now();
    EXPECT_EQ(living, 2);
  }());
  EXPECT_EQ(living, 0);
  EXPECT_EQ(clock.pending_timers(), 0u);
}

// Values set from other threads while the context is being destroyed: run under the sanitizers.
TEST(OneShot, values_that_come_while_the_context_is_destroyed_are_dropped) {
  for (int round = 0; round < 20; ++round) {
    std::vector<OneShot<int>> shots(32);
    auto scheduler = std::make_unique<Scheduler>();
    for (auto& shot : shots) {
      asio::co_spawn(
          scheduler->executor(),
          [](OneShot<int> waited) -> Task<void> {
            static_cast<void>(co_await waited.wait());
          }(shot),
          asio::detached);
    }
    std::thread setter([&] {
      for (auto& shot : shots) shot.set(1);
    });
    scheduler.reset();
    setter.join();
    for (auto& shot : shots) EXPECT_TRUE(shot.is_set());
  }
}

TEST(OneShot, waits_go_on_in_a_new_context_after_an_old_one_was_destroyed) {
  for (int round = 0; round < 5; ++round) {
    SimulatedClock clock;
    OneShot<int> one_shot;
    clock.call_at(clock.after(1s), [one_shot]() mutable { one_shot.set(1); });
    EXPECT_EQ(simulated_run(clock, one_shot.wait()), 1);
  }
}

}  // namespace
}  // namespace semper
