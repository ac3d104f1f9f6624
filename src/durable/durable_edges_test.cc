// A Durable at the edge: threads that block, loops that go, hooks that throw or destroy their
// owner.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "durable/durable_test_support.h"
#include "semper/base/log.h"
#include "semper/durable/durable.h"
#include "semper/env/scheduler.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using durable_test::call;
using durable_test::never_broken;
using testing::simulated_run;
using testing::SimulatedClock;

// A failure of a test and not a time that anything takes.
constexpr auto kPatience = 60s;

struct Log {
  Log() {
    set_log_sink([this](LogLevel, std::string_view, std::string_view line) { text += line; });
  }
  ~Log() { set_log_sink({}); }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  std::string text;
};

// ---- arguments ----

// Strings that are longer than they can hold in themselves, for the address sanitizer.
TEST(DurableEdges, with_keeps_the_arguments_of_its_function_until_it_has_ended) {
  SimulatedClock clock;
  simulated_run(clock, [&]() -> Task<void> {
    DurableOptions<int> options;
    options.env.clock = &clock;
    auto build = []() -> Async<int> { co_return 7; };
    auto durable = Durable<int>::create(build, never_broken, nullptr, options);
    std::string text(100, 't');
    const auto sum = co_await durable.with(
        [](int& number, const std::string& one, std::string two,
           SimulatedClock* time) -> Async<std::size_t> {
          SEMPER_CO_TRY_STATUS(co_await sleep_for(*time, 1s));
          co_return number + one.size() + two.size();
        },
        text, std::string(50, 'u'), &clock);
    EXPECT_EQ(sum, 157u);
    const WithOptions once;
    const auto plain = co_await durable.with(
        once, [](int&, const std::string& one) { return one.size(); }, text);
    EXPECT_EQ(plain, 100u);
  }());
}

// ---- threads that block ----

TEST(DurableEdges, a_deadline_answers_although_the_builder_blocks_its_thread) {
  SimulatedClock clock;
  std::promise<void> release;
  auto released = release.get_future().share();
  DurableOptions<int> options;
  options.env.clock = &clock;
  options.attempt_deadline = 200ms;
  auto build = [released]() -> Async<int> {
    released.wait();
    co_return 7;
  };
  auto durable = Durable<int>::create(build, never_broken, nullptr, options);
  std::promise<std::string> answered;
  std::vector<std::string> first;
  Scheduler blocked, other;  // their threads end before what they write to
  auto answer = [&answered](Durable<int> on) -> Task<void> {
    auto value = co_await on.with([](int&) {});
    answered.set_value(value ? "a value" : std::string(to_string(value.error().kind())));
  };
  asio::co_spawn(blocked.executor(), call(durable, first), asio::detached);
  while (durable.statistics().attempts == 0) std::this_thread::yield();
  asio::co_spawn(other.executor(), answer(durable), asio::detached);
  while (durable.statistics().waiting < 2) std::this_thread::yield();
  // The attempt's timer is set by the thread that is blocked now.
  while (!clock.next_timer()) std::this_thread::yield();
  clock.advance(200ms);
  auto seen = answered.get_future();
  const auto state = seen.wait_for(kPatience);
  EXPECT_EQ(durable.statistics().abandoned, 1u);
  release.set_value();
  ASSERT_EQ(state, std::future_status::ready) << "the caller waits for the blocked thread";
  EXPECT_EQ(seen.get(), "timeout");
  blocked.block_on(durable.join());
}

TEST(DurableEdges, builders_that_were_given_up_and_run_on_are_bounded) {
  SimulatedClock clock;
  OneShot<int> number;
  int running = 0, most = 0;
  std::vector<std::string> seen;
  simulated_run(clock, [&]() -> Task<void> {
    OneShot<int> let_go[internal::DurableCore::kBuildersAtOnce];
    std::size_t next = 0;
    auto deaf = [&]() -> Async<int> {
      most = std::max(most, ++running);
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      auto got = co_await let_go[next++].wait();
      --running;
      co_return got;
    };
    DurableOptions<int> options;
    options.env.clock = &clock;
    options.attempt_deadline = 1s;
    auto durable = Durable<int>::create(deaf, never_broken, nullptr, options);
    for (std::size_t i = 0; i <= std::size(let_go); ++i) co_await call(durable, seen);
    EXPECT_EQ(seen.back(), "retry");
    for (auto& one : let_go) one.set(1);
    co_await yield_now();
    co_await yield_now();
    EXPECT_EQ(running, 0);
    co_await durable.join();
  }());
  EXPECT_EQ(most, static_cast<int>(internal::DurableCore::kBuildersAtOnce));
}

// ---- callers that leave ----

TEST(DurableEdges, callers_that_were_cancelled_are_not_counted_as_waiting) {
  SimulatedClock clock;
  simulated_run(clock, [&]() -> Task<void> {
    DurableOptions<int> options;
    options.env.clock = &clock;
    options.max_waiters = 3;
    auto build = [&]() -> Async<int> {
      SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, 1h));
      co_return 1;
    };
    auto durable = Durable<int>::create(build, never_broken, nullptr, options);
    const auto executor = co_await asio::this_coro::executor;
    std::vector<std::string> left, stays;
    for (int i = 0; i < 3; ++i) {
      asio::cancellation_signal signal;
      asio::co_spawn(executor, call(durable, left),
                     asio::bind_cancellation_slot(signal.slot(), asio::detached));
      co_await yield_now();
      signal.emit(asio::cancellation_type::terminal);
      for (int turn = 0; turn < 5; ++turn) co_await yield_now();
    }
    EXPECT_EQ(durable.statistics().waiting, 0u);
    asio::co_spawn(executor, call(durable, stays), asio::detached);
    static_cast<void>(co_await sleep_for(clock, 2h));
    EXPECT_EQ(stays, std::vector<std::string>{"1"});
    EXPECT_EQ(durable.statistics().attempts, 1u);
  }());
}

// ---- loops that go ----

TEST(DurableEdges, with_a_deadline_a_loop_that_goes_during_an_attempt_leaks_nothing) {
  for (const Duration deadline : {kForever, Duration(10s)}) {
    SimulatedClock clock;
    int disposed = 0;
    auto token = std::make_shared<int>(0);
    {
      bool broken = false;
      DurableOptions<int> options;
      options.env.clock = &clock;
      options.attempt_deadline = deadline;
      options.dispose = [&](int&) { ++disposed; };
      auto build = [token]() -> Async<int> { co_return 1; };
      auto rebuild = [&](int&) -> Async<int> {
        static_cast<void>(co_await sleep_for(clock, 1h));
        co_return 2;
      };
      auto durable = Durable<int>::create(
          build, [&](const int&) { return broken; }, rebuild, options);
      std::vector<std::string> seen;
      simulated_run(clock, call(durable, seen));
      broken = true;
      asio::io_context context(1);
      asio::co_spawn(context, call(durable, seen), asio::detached);
      context.poll();
    }
    EXPECT_EQ(disposed, 1);
    EXPECT_EQ(token.use_count(), 1) << "the core is there yet";
    EXPECT_EQ(clock.pending_timers(), 0u);
  }
}

TEST(DurableEdges, an_attempt_whose_loop_goes_before_it_began_is_answered) {
  SimulatedClock clock;
  auto never_run = std::make_unique<asio::io_context>(1);
  DurableOptions<int> options;
  options.env.clock = &clock;
  options.executor = never_run->get_executor();
  int builds = 0;
  auto build = [&]() -> Async<int> { co_return ++builds; };
  auto durable = Durable<int>::create(build, never_broken, nullptr, options);
  std::vector<std::string> seen;
  asio::io_context context(1);
  asio::co_spawn(context, call(durable, seen), asio::detached);
  context.poll();
  never_run.reset();
  context.restart();
  context.poll();
  EXPECT_EQ(seen, std::vector<std::string>{"closed"});
  EXPECT_EQ(builds, 0);
  durable.close();
}

// ---- hooks that throw ----

TEST(DurableEdges, an_is_permanent_that_throws_is_logged_and_the_error_passes) {
  for (const bool odd : {false, true}) {
    Log log;
    SimulatedClock clock;
    DurableOptions<int> options;
    options.env.clock = &clock;
    options.is_permanent = [odd](const Error&) -> bool {
      if (odd) throw 7;  // NOLINT: not every exception is a std::exception
      throw std::runtime_error("cannot tell");
    };
    auto refuse = []() -> Async<int> { co_return fail(ErrorKind::io, "refused"); };
    auto durable = Durable<int>::create(refuse, never_broken, nullptr, options);
    std::vector<std::string> seen;
    simulated_run(clock, call(durable, seen));
    simulated_run(clock, call(durable, seen));
    EXPECT_EQ(seen, (std::vector<std::string>{"io", "io"}));
    EXPECT_EQ(durable.statistics().attempts, 2u) << "it is not permanent";
    EXPECT_NE(log.text.find("is_permanent threw"), std::string::npos) << log.text;
  }
}

TEST(DurableEdges, a_dispose_that_throws_is_logged) {
  Log log;
  SimulatedClock clock;
  DurableOptions<int> options;
  options.dispose = [](int&) { throw std::runtime_error("it is stuck"); };
  auto build = []() -> Async<int> { co_return 1; };
  {
    auto durable = Durable<int>::create(build, never_broken, nullptr, options);
    std::vector<std::string> seen;
    simulated_run(clock, call(durable, seen));
  }
  EXPECT_NE(log.text.find("it is stuck"), std::string::npos) << log.text;
}

TEST(DurableEdges, what_a_caller_throws_takes_no_other_caller_with_it) {
  asio::io_context context(1);
  const Executor strand = asio::make_strand(context);
  OneShot<int> go;
  auto build = [go]() mutable -> Async<int> { co_return co_await go.wait(); };
  auto durable = Durable<int>::create(build, never_broken);
  int answered = 0;
  auto caller = [](Durable<int> on, int& count, bool throws) -> Task<void> {
    static_cast<void>(co_await on.with([](int&) {}));
    ++count;
    if (throws) throw std::runtime_error("the user's own");
  };
  auto rethrow = [](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  };
  for (int i = 0; i < 10; ++i) {
    asio::co_spawn(strand, caller(durable, answered, i == 0), rethrow);
  }
  context.poll();
  go.set(1);
  int thrown = 0;
  for (int i = 0; i < 3; ++i) {
    try {
      context.restart();
      context.poll();
    } catch (const std::runtime_error&) {
      ++thrown;
    }
  }
  EXPECT_EQ(answered, 10);
  EXPECT_EQ(thrown, 1);
}

// ---- hooks that destroy their owner ----

TEST(DurableEdges, a_subscriber_may_destroy_the_durable_and_its_subscription) {
  struct Both {
    std::optional<Durable<int>> durable;
    BusSubscription heard;
  };
  for (const std::string how : {"invalidate", "check", "close", "subscribe"}) {
    SimulatedClock clock;
    bool broken = false;
    auto token = std::make_shared<int>(0);
    auto build = [token]() -> Async<int> { co_return 1; };
    auto both = std::make_unique<Both>();
    both->durable = Durable<int>::create(build, [&](const int&) { return broken; });
    std::vector<std::string> seen;
    simulated_run(clock, call(*both->durable, seen));
    const bool at_once = how == "subscribe";
    auto kept = both->durable->is_intact().subscribe([&](const bool& intact) {
      if (!intact || at_once) both.reset();
    });
    if (both) both->heard = std::move(kept);
    if (how == "invalidate") both->durable->invalidate();
    if (how == "close") both->durable->close();
    if (how == "check") {
      broken = true;
      static_cast<void>(both->durable->check());
    }
    EXPECT_FALSE(both) << how;
    EXPECT_EQ(token.use_count(), 2) << how << ": only the builder above holds it";
  }
}

// ---- join ----

TEST(DurableEdges, join_waits_for_a_probe) {
  SimulatedClock clock;
  int probing = 0, probes = 0;
  simulated_run(clock, [&]() -> Task<void> {
    DurableOptions<int> options;
    options.env.clock = &clock;
    options.executor = co_await asio::this_coro::executor;
    options.repair_every = 10s;
    options.probe = [&](int&) -> Async<void> {
      ++probes;
      ++probing;
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      static_cast<void>(co_await sleep_for(clock, 5s));
      --probing;
      co_return Status();
    };
    auto build = []() -> Async<int> { co_return 1; };
    auto durable = Durable<int>::create(build, never_broken, nullptr, options);
    static_cast<void>(co_await sleep_for(clock, 12s));
    EXPECT_EQ(probing, 1);
    co_await durable.join();
    EXPECT_EQ(probing, 0);
    static_cast<void>(co_await sleep_for(clock, 60s));
  }());
  EXPECT_EQ(probes, 1);
}

TEST(DurableEdges, join_may_be_awaited_when_the_handle_is_gone) {
  SimulatedClock clock;
  auto build = []() -> Async<int> { co_return 1; };
  std::optional<Durable<int>> durable = Durable<int>::create(build, never_broken);
  auto joined = durable->join();
  durable.reset();
  simulated_run(clock, std::move(joined));
}

// ---- values that only one may hold ----

struct Exclusive {
  std::shared_ptr<int> held;
  bool broken = false;
};

struct Door {
  int open = 0, made = 0, refused = 0;
  Async<Exclusive> enter() {
    if (open > 0) {
      ++refused;
      co_return fail(ErrorKind::already_exists, "the id is in use");
    }
    ++open;
    ++made;
    auto leave = [this](int* number) {
      --open;
      delete number;
    };
    Exclusive value{std::shared_ptr<int>(new int(made), leave)};
    co_return value;
  }
};

TEST(DurableEdges, the_old_value_is_gone_before_the_next_one_is_created) {
  SimulatedClock clock;
  Door door;
  simulated_run(clock, [&]() -> Task<void> {
    auto durable = Durable<Exclusive>::create([&] { return door.enter(); },
                                              [](const Exclusive& value) { return value.broken; });
    for (int i = 0; i < 10; ++i) {
      EXPECT_TRUE(co_await durable.with([](Exclusive& value) { value.broken = true; })) << i;
    }
  }());
  EXPECT_EQ(door.made, 10);
  EXPECT_EQ(door.refused, 0);
}

TEST(DurableEdges, without_overlap_an_attempt_waits_for_the_late_value_of_one_that_was_given_up) {
  SimulatedClock clock;
  Door door;
  std::vector<std::string> seen;
  simulated_run(clock, [&]() -> Task<void> {
    OneShot<int> go;
    int builds = 0;
    auto deaf_once = [&]() -> Async<Exclusive> {
      const bool deaf = builds++ == 0;
      auto entered = co_await door.enter();
      if (deaf) {
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        static_cast<void>(co_await go.wait());
      }
      co_return entered;
    };
    DurableOptions<Exclusive> options;
    options.env.clock = &clock;
    options.attempt_deadline = 1s;
    options.overlap = Overlap::never;
    auto durable = Durable<Exclusive>::create(
        deaf_once, [](const Exclusive&) { return false; }, nullptr, options);
    auto number = [](Exclusive& value) { return *value.held; };
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ((co_await durable.with(number)).error().kind(), ErrorKind::timeout);
    }
    EXPECT_EQ(door.refused, 0);
    go.set(1);
    EXPECT_EQ(co_await durable.with(number), 2);
    co_await durable.join();
  }());
  EXPECT_EQ(door.refused, 0);
  EXPECT_EQ(door.open, 0);
}

// Attempts that were given up may still wait when their successors do.
TEST(DurableEdges, without_overlap_everybody_who_waits_for_the_place_is_told_that_it_is_left) {
  SimulatedClock clock;
  int got = 0;
  simulated_run(clock, [&]() -> Task<void> {
    const auto occupancy = std::make_shared<internal::Occupancy>();
    auto held = co_await internal::Occupancy::take(occupancy);
    EXPECT_TRUE(held);
    auto wait = [&got, &clock](std::shared_ptr<internal::Occupancy> at) -> Task<void> {
      const auto place = co_await internal::Occupancy::take(std::move(at));
      got += place ? 1 : 0;
      static_cast<void>(co_await sleep_for(clock, 1ms));
    };
    const auto executor = co_await asio::this_coro::executor;
    for (int i = 0; i < 3; ++i) asio::co_spawn(executor, wait(occupancy), asio::detached);
    {
      asio::io_context given_up(1);
      asio::co_spawn(given_up, wait(occupancy), asio::detached);
      given_up.poll();
      static_cast<void>(co_await sleep_for(clock, 1s));
      EXPECT_EQ(got, 0);
    }
    held->reset();
    static_cast<void>(co_await sleep_for(clock, 1s));
  }());
  EXPECT_EQ(got, 3);
}

// ---- who is broken ----

TEST(DurableEdges, users_who_call_their_own_value_broken_do_not_kill_its_successor) {
  SimulatedClock clock;
  int connections = 0;
  simulated_run(clock, [&]() -> Task<void> {
    auto connect = [&]() -> Async<int> {
      SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, 5ms));
      co_return ++connections;
    };
    DurableOptions<int> options;
    options.env.clock = &clock;
    options.retry = std::nullopt;  // the successor is there while the first one is still in use
    auto durable = Durable<int>::create(connect, never_broken, options);
    auto user = [&clock](Durable<int> on, int i) -> Task<void> {
      for (int round = 0; round < 2; ++round) {
        auto f = [&](int& connection) -> Async<int> {
          const int mine = connection;
          static_cast<void>(co_await sleep_for(clock, std::chrono::milliseconds(1 + i * 7 % 50)));
          if (mine != 1) co_return mine;
          on.invalidate(connection);
          co_return fail(ErrorKind::io, "connection 1 is lost");
        };
        static_cast<void>(co_await on.with(f));
      }
    };
    const auto executor = co_await asio::this_coro::executor;
    for (int i = 0; i < 100; ++i) asio::co_spawn(executor, user(durable, i), asio::detached);
    static_cast<void>(co_await sleep_for(clock, 10s));
    EXPECT_EQ(durable.statistics().calls, 200u);
  }());
  EXPECT_EQ(connections, 2);
}

}  // namespace
}  // namespace semper
