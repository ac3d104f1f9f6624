#include "semper/durable/durable.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "durable/durable_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using durable_test::call;
using durable_test::never_broken;
using testing::simulated_run;
using testing::SimulatedClock;

// A durable number whose builds take a second each, and count.
struct Slow {
  SimulatedClock clock;
  int builds = 0;
  int disposed = 0;
  DurableOptions<int> options = [this] {
    DurableOptions<int> given;
    given.name = "the number";
    given.env.clock = &clock;
    given.dispose = [this](int&) { ++disposed; };
    return given;
  }();

  Async<int> build() {
    const int number = ++builds;
    SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, 1s));
    co_return number;
  }
  Durable<int> durable() {
    return Durable<int>::create([this] { return build(); }, never_broken, nullptr, options);
  }
};

TEST(Durable, what_f_returns_and_throws_passes_through_unchanged) {
  SimulatedClock clock;
  simulated_run(clock, []() -> Task<void> {
    auto durable = Durable<int>::create([]() -> Async<int> { co_return 7; }, never_broken);
    const auto plain = co_await durable.with([](int& value) { return value + 1; });
    EXPECT_EQ(plain, 8);
    const auto task = co_await durable.with(
        [](int& value) -> Task<std::string> { co_return std::to_string(value); });
    EXPECT_EQ(task, "7");
    const auto failed = co_await durable.with(
        [](int&) -> Async<int> { co_return fail(ErrorKind::conflict, "the function's own"); });
    EXPECT_EQ(failed.error(), Error(ErrorKind::conflict, "the function's own"));
    std::string caught;
    try {
      static_cast<void>(co_await durable.with([](int&) { throw std::out_of_range("mine"); }));
    } catch (const std::out_of_range& thrown) {
      caught = thrown.what();
    }
    EXPECT_EQ(caught, "mine");
    EXPECT_EQ(durable.statistics().created, 1u) << "an f that fails breaks nothing";
  }());
}

TEST(Durable, create_or_fail_builds_at_once_and_fails_with_the_build) {
  SimulatedClock clock;
  simulated_run(clock, []() -> Task<void> {
    auto make = []() -> Async<int> { co_return 1; };
    auto refuse = []() -> Async<int> { co_return fail(ErrorKind::io, "nobody there"); };
    auto good = co_await Durable<int>::create_or_fail(make, never_broken);
    EXPECT_TRUE(good);
    EXPECT_EQ(good->is_intact().last(), true);
    auto failed = co_await Durable<int>::create_or_fail(refuse, never_broken);
    EXPECT_EQ(failed.error(), Error(ErrorKind::io, "nobody there"));
    auto broken = co_await Durable<int>::create_or_fail(make, [](const int&) { return true; });
    EXPECT_EQ(broken.error().kind(), ErrorKind::retry) << "broken right after its build";
  }());
}

TEST(Durable, a_caller_that_is_cancelled_leaves_the_attempt_to_the_others) {
  Slow slow;
  std::vector<std::string> cancelled, other;
  simulated_run(slow.clock, [&]() -> Task<void> {
    auto durable = slow.durable();
    const auto executor = co_await asio::this_coro::executor;
    asio::cancellation_signal signal;
    asio::co_spawn(executor, call(durable, cancelled),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    asio::co_spawn(executor, call(durable, other), asio::detached);
    static_cast<void>(co_await sleep_for(slow.clock, 500ms));
    signal.emit(asio::cancellation_type::terminal);
    static_cast<void>(co_await sleep_for(slow.clock, 1s));
  }());
  EXPECT_EQ(other, std::vector<std::string>{"1"});
  EXPECT_LE(cancelled.size(), 1u);
  for (const auto& seen : cancelled) EXPECT_EQ(seen, "cancelled");
}

TEST(Durable, close_is_prompt_for_waiters_and_cancels_the_attempt) {
  Slow slow;
  std::vector<std::string> seen;
  simulated_run(slow.clock, [&]() -> Task<void> {
    auto durable = slow.durable();
    const auto executor = co_await asio::this_coro::executor;
    for (int i = 0; i < 3; ++i) asio::co_spawn(executor, call(durable, seen), asio::detached);
    static_cast<void>(co_await sleep_for(slow.clock, 100ms));
    co_await durable.join();
    co_await yield_now();
    EXPECT_EQ(slow.clock.now(), SimulatedClock::kStart + 100ms) << "the builder was not awaited";
  }());
  EXPECT_EQ(seen, (std::vector<std::string>{"closed", "closed", "closed"}));
  EXPECT_EQ(slow.builds, 1);
}

TEST(Durable, a_builder_that_ignores_its_cancellation_has_its_late_value_disposed_of) {
  Slow slow;
  OneShot<int> number;
  std::vector<std::string> seen;
  simulated_run(slow.clock, [&]() -> Task<void> {
    auto stubborn = [&]() -> Async<int> {
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      co_return co_await number.wait();
    };
    auto durable = Durable<int>::create(stubborn, never_broken, nullptr, slow.options);
    const auto executor = co_await asio::this_coro::executor;
    asio::co_spawn(executor, call(durable, seen), asio::detached);
    co_await yield_now();
    durable.close();
    static_cast<void>(co_await sleep_for(slow.clock, 1s));
    EXPECT_EQ(seen, std::vector<std::string>{"closed"});
    EXPECT_EQ(slow.disposed, 0);
    number.set(1);
    co_await durable.join();
  }());
  EXPECT_EQ(slow.disposed, 1);
}

TEST(Durable, a_value_that_comes_after_its_deadline_does_not_replace_the_next_one) {
  Slow slow;
  OneShot<int> number;
  std::vector<std::string> seen;
  simulated_run(slow.clock, [&]() -> Task<void> {
    auto stubborn_once = [&]() -> Async<int> {
      if (++slow.builds > 1) co_return 2;
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      co_return co_await number.wait();
    };
    slow.options.attempt_deadline = 1s;
    auto durable = Durable<int>::create(stubborn_once, never_broken, nullptr, slow.options);
    co_await call(durable, seen);
    co_await call(durable, seen);
    number.set(1);
    static_cast<void>(co_await sleep_for(slow.clock, 1s));
    EXPECT_EQ(slow.disposed, 1) << "the late one";
    co_await call(durable, seen);
    EXPECT_EQ(durable.statistics().attempts, 2u);
  }());
  EXPECT_EQ(seen, (std::vector<std::string>{"timeout", "2", "2"}));
}

TEST(Durable, the_end_of_the_last_handle_closes_it) {
  Slow slow;
  simulated_run(slow.clock, [&]() -> Task<void> {
    auto first = std::make_unique<Durable<int>>(slow.durable());
    auto second = std::make_unique<Durable<int>>(*first);
    static_cast<void>(co_await first->with([](int&) {}));
    first.reset();
    EXPECT_EQ(slow.disposed, 0);
    second.reset();
    EXPECT_EQ(slow.disposed, 1);
  }());
}

TEST(Durable, an_attempt_whose_executor_dies_leaves_nothing_stuck) {
  Slow slow;
  auto durable = slow.durable();
  std::vector<std::string> seen;
  simulated_run(slow.clock, [&]() -> Task<void> {
    asio::co_spawn(co_await asio::this_coro::executor, call(durable, seen), asio::detached);
    co_await yield_now();
  }());  // the executor goes, the attempt with it
  EXPECT_EQ(durable.statistics().failed, 1u);
  ASSERT_TRUE(durable.statistics().last_error);
  EXPECT_EQ(durable.statistics().last_error->kind(), ErrorKind::closed);
  simulated_run(slow.clock, call(durable, seen));
  EXPECT_EQ(seen, std::vector<std::string>{"2"});
}

TEST(Durable, eager_repair_builds_at_once_and_replaces_what_the_probe_calls_broken) {
  Slow slow;
  bool healthy = true;
  simulated_run(slow.clock, [&]() -> Task<void> {
    slow.options.executor = co_await asio::this_coro::executor;
    slow.options.repair_every = 10s;
    slow.options.probe = [&](int&) -> Async<void> {
      if (!healthy) co_return fail(ErrorKind::timeout, "no answer");
      co_return Status();
    };
    auto durable = slow.durable();
    static_cast<void>(co_await sleep_for(slow.clock, 2s));
    EXPECT_EQ(durable.is_intact().last(), true) << "nobody asked for it yet";
    static_cast<void>(co_await sleep_for(slow.clock, 60s));
    EXPECT_EQ(slow.builds, 1);
    healthy = false;
    static_cast<void>(co_await sleep_for(slow.clock, 12s));
    healthy = true;
    EXPECT_EQ(slow.builds, 2);
    EXPECT_EQ(slow.disposed, 1);
    durable.invalidate();
    EXPECT_EQ(durable.is_intact().last(), false);
    static_cast<void>(co_await sleep_for(slow.clock, 1100ms));
    EXPECT_EQ(slow.builds, 3) << "it waited for its next look";
    EXPECT_EQ(durable.is_intact().last(), true);
    co_await durable.join();
  }());
}

TEST(Durable, eager_repair_of_what_cannot_be_built_keeps_to_the_pauses) {
  SimulatedClock clock;
  SeededRandom random(1);
  int attempts = 0;
  simulated_run(clock, [&]() -> Task<void> {
    DurableOptions<int> options;
    options.env = Env{&clock, &random};
    options.executor = co_await asio::this_coro::executor;
    options.repair_every = 1s;
    options.retry = RetryOptions{.initial = 10s, .maximum = 80s};
    options.attempt_limit = 10;
    auto refuse = [&]() -> Async<int> {
      ++attempts;
      co_return fail(ErrorKind::io, "nobody there");
    };
    auto durable = Durable<int>::create(refuse, never_broken, nullptr, options);
    static_cast<void>(co_await sleep_for(clock, 150s));
    EXPECT_GE(attempts, 4);
    EXPECT_LE(attempts, 7) << "10, 20, 40, 80 s, each at least half";
    static_cast<void>(co_await sleep_for(clock, 1h));
    EXPECT_EQ(attempts, 10) << "attempt_limit";
  }());
}

TEST(Durable, statistics_and_metrics_count_what_happened) {
  metrics::Registry registry;
  Slow slow;
  slow.options.metrics = &registry;
  {
    auto durable = slow.durable();
    simulated_run(slow.clock, [&]() -> Task<void> {
      static_cast<void>(co_await durable.with([](int&) {}));
      durable.invalidate();
      static_cast<void>(co_await durable.with([](int&) {}));
    }());
    const auto statistics = durable.statistics();
    EXPECT_EQ(statistics.calls, 2u);
    EXPECT_EQ(statistics.attempts, 2u);
    EXPECT_EQ(statistics.created, 2u);
    EXPECT_EQ(statistics.breaks, 1u);
    EXPECT_TRUE(statistics.intact);
    EXPECT_EQ(statistics.last_attempt, 1s);
    const auto page = registry.to_prometheus();
    EXPECT_NE(page.find("semper_durable_intact{name=\"the number\"} 1"), std::string::npos) << page;
    EXPECT_NE(page.find("result=\"created\"} 2"), std::string::npos) << page;
  }
  EXPECT_NE(registry.to_prometheus().find("semper_durable_intact{name=\"the number\"} 0"),
            std::string::npos);
}

// For the thread sanitizer, and for lost wake-ups: it would not end.
TEST(Durable, calls_breaks_and_checks_from_many_threads_all_end) {
  std::atomic<int> built{0};
  auto durable = Durable<int>::create(
      [&]() -> Async<int> {
        co_await yield_now();
        if (++built % 7 == 0) co_return fail(ErrorKind::io, "every seventh");
        co_return built.load();
      },
      never_broken);
  std::atomic<int> changes{0};
  auto heard = durable.is_intact().subscribe([&](bool) { ++changes; });
  Scheduler scheduler({.threads = 2});
  auto work = [&]() -> Task<int> {
    int ran = 0;
    for (int i = 0; i < 200; ++i) {
      auto done = co_await durable.with([&](int&) { ++ran; });
      EXPECT_TRUE(done || done.error().kind() != ErrorKind::internal);
      if (i % 5 == 0) durable.invalidate();
      if (i % 11 == 0) static_cast<void>(durable.check());
    }
    co_return ran;
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] { EXPECT_GT(scheduler.block_on(work()), 0); });
  }
  for (auto& thread : threads) thread.join();
  scheduler.block_on(durable.join());
  EXPECT_GT(changes, 1);
}

}  // namespace
}  // namespace semper
