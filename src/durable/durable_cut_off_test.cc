// A Durable whose callers, probes, values or loops go at the wrong moment.
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "durable/durable_test_support.h"
#include "semper/durable/durable.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using durable_test::never_broken;
using testing::simulated_run;
using testing::SimulatedClock;
using Seen = std::vector<std::string>;

// A failure of a test and not a time that anything takes.
constexpr auto kLockPatience = 10s;

Task<void> ask_number(Durable<int> durable, Seen& seen, std::string name = "",
                      WithOptions how = WithOptions()) {
  auto f = [](int& number) { return number; };
  auto value = co_await durable.with(how, f);
  seen.push_back(name +
                 (value ? std::to_string(*value) : std::string(to_string(value.error().kind()))));
}

// Until nothing is ready on any of them.
void poll_all(const std::vector<asio::io_context*>& contexts) {
  constexpr int kTurns = 20;
  for (int turn = 0; turn < kTurns; ++turn) {
    for (auto* const context : contexts) {
      context->restart();
      context->poll();
    }
  }
}

// Waits for that loop, with Asio's own means: once the loop goes, nothing is left of the waiting
// coroutine.
Task<void> wait_for_loop(asio::io_context& other) {
  co_await asio::post(other.get_executor(), asio::use_awaitable);
}

class DurableCutOff : public ::testing::Test {
 protected:
  template <class T = int>
  DurableOptions<T> options_on(const Executor& executor = Executor()) {
    DurableOptions<T> options;
    options.env = Env{&clock, &random};
    options.executor = executor;
    return options;
  }

  SimulatedClock clock;
  SeededRandom random{1};
};

// ---- eager repair ----

TEST_F(DurableCutOff, eager_repair_without_overlap_lets_go_of_what_it_replaces) {
  for (const Access access : {Access::shared, Access::exclusive}) {
    int built = 0, broken_below = 0;
    simulated_run(clock, [&]() -> Task<void> {
      auto options = options_on();
      options.executor = co_await asio::this_coro::executor;
      options.access = access;
      options.overlap = Overlap::never;
      options.repair_every = 1s;
      auto build = [&]() -> Async<int> { co_return ++built; };
      auto durable = Durable<int>::create(
          build, [&](const int& number) { return number <= broken_below; }, options);
      static_cast<void>(co_await sleep_for(clock, 5s));
      EXPECT_EQ(built, 1);
      broken_below = 1;
      static_cast<void>(co_await sleep_for(clock, 1min));
      EXPECT_EQ(built, 2);
      EXPECT_TRUE(durable.statistics().intact);
      Seen seen;
      const WithOptions soon{.deadline = 1s};
      co_await ask_number(durable, seen, "", soon);
      EXPECT_EQ(seen, Seen{"2"});
      co_await durable.join();
    }());
  }
}

// ---- probes ----

struct ProbedSession {
  std::shared_ptr<int> unread = std::make_shared<int>(0);
};

TEST_F(DurableCutOff, an_exclusive_value_whose_prober_was_destroyed_is_not_used_again) {
  asio::io_context own(1);
  OneShot<int> never;
  int created = 0, unread = -1;
  bool is_slow = true;
  auto options = options_on<ProbedSession>(own.get_executor());
  options.access = Access::exclusive;
  options.retry = std::nullopt;
  options.probe_after_idle = 1s;
  options.probe = [&](ProbedSession& session) -> Async<void> {
    ++*session.unread;  // its question is sent
    if (is_slow) SEMPER_CO_TRY_STATUS(co_await never.wait());
    --*session.unread;  // and its answer read
    co_return Status();
  };
  auto build = [&]() -> Async<ProbedSession> {
    ++created;
    co_return ProbedSession();
  };
  auto durable = Durable<ProbedSession>::create(
      build, [](const ProbedSession&) { return false; }, options);
  auto ask = [&](Durable<ProbedSession> on) -> Task<void> {
    auto f = [&](ProbedSession& session) { unread = *session.unread; };
    static_cast<void>(co_await on.with(f));
  };
  {
    asio::io_context first(1);
    asio::co_spawn(first, ask(durable), asio::detached);
    poll_all({&first, &own});
    EXPECT_EQ(unread, 0);
  }
  clock.advance(2s);
  {
    asio::io_context destroyed(1);
    asio::co_spawn(destroyed, ask(durable), asio::detached);
    poll_all({&destroyed, &own});
  }
  poll_all({&own});
  is_slow = false;
  unread = -1;
  asio::io_context last(1);
  asio::co_spawn(last, ask(durable), asio::detached);
  poll_all({&last, &own});
  EXPECT_EQ(unread, 0) << "answers of probes that nobody has read";
  EXPECT_EQ(created, 2);
}

TEST_F(DurableCutOff, a_probe_that_is_destroyed_with_what_it_waits_for_has_failed) {
  int built = 0, probes = 0;
  auto other = std::make_unique<asio::io_context>(1);
  simulated_run(clock, [&]() -> Task<void> {
    const Executor executor = co_await asio::this_coro::executor;
    auto options = options_on(executor);
    options.repair_every = 1s;
    options.probe = [&](int&) -> Async<void> {
      if (++probes == 2) co_await wait_for_loop(*other);
      co_return Status();
    };
    auto build = [&]() -> Async<int> { co_return ++built; };
    auto durable = Durable<int>::create(build, never_broken, options);
    static_cast<void>(co_await sleep_for(clock, 10s));
    EXPECT_EQ(probes, 2);
    other.reset();
    static_cast<void>(co_await sleep_for(clock, 10s));
    EXPECT_GT(probes, 2);
    EXPECT_EQ(built, 2);
    co_await durable.join();
  }());
}

// ---- turns ----

// Somebody has the turn, on a loop of its own, until it is told to leave.
class DurableCutOffTurns : public DurableCutOff {
 protected:
  DurableCutOffTurns() {
    auto options = options_on(running.get_executor());
    options.access = Access::exclusive;
    auto build = []() -> Async<int> { co_return 1; };
    durable = Durable<int>::create(build, never_broken, options);
    take_turn();
  }
  void take_turn() {
    leave = OneShot<int>();
    asio::co_spawn(running, hold(*durable), asio::detached);
    poll_all({&running});
  }
  Task<void> hold(Durable<int> on) {
    auto f = [&](int&) -> Async<void> {
      static_cast<void>(co_await leave.wait());
      co_return Status();
    };
    static_cast<void>(co_await on.with(f));
  }
  void begin(asio::io_context& loop, const std::string& name, WithOptions how = WithOptions()) {
    asio::co_spawn(loop, ask_number(*durable, seen, name + " ", how), asio::detached);
    poll_all({&loop});
  }

  OneShot<int> leave;
  Seen seen;
  asio::io_context running{1};
  std::optional<Durable<int>> durable;
};

// From a caller whose loop does not run, others get the turn: at its deadline or after a while.
TEST_F(DurableCutOffTurns, a_turn_does_not_stay_with_a_caller_whose_loop_does_not_run) {
  for (const bool has_deadline : {true, false}) {
    asio::io_context stands_still(1);
    WithOptions how;
    if (has_deadline) how.deadline = 1s;
    begin(stands_still, "first", how);
    begin(running, "second");
    EXPECT_EQ(durable->statistics().waiting_for_turn, 2u);
    leave.set(1);
    poll_all({&running});
    EXPECT_EQ(seen, Seen()) << "the first one is given time";
    clock.advance(has_deadline ? Duration(1s) : Duration(3s));
    poll_all({&running});
    EXPECT_EQ(seen, Seen{"second 1"});
    poll_all({&stands_still, &running});
    EXPECT_EQ(seen, (Seen{"second 1", has_deadline ? "first timeout" : "first 1"}));
    begin(running, "third");
    EXPECT_EQ(seen.back(), "third 1");
    EXPECT_EQ(clock.pending_timers(), 0u);
    seen.clear();
    take_turn();
  }
}

TEST_F(DurableCutOffTurns, a_turn_that_was_offered_to_a_loop_that_goes_is_the_next_ones) {
  auto goes = std::make_unique<asio::io_context>(1);
  begin(*goes, "first");
  begin(running, "second");
  leave.set(1);
  poll_all({&running});
  goes.reset();
  poll_all({&running});
  EXPECT_EQ(seen, Seen{"second 1"});
  EXPECT_EQ(clock.pending_timers(), 0u);
}

// ---- attempts ----

// An attempt that was begun on a loop that somebody then stopped; another loop's caller waits.
class DurableCutOffAttempts : public DurableCutOff {
 protected:
  Durable<int> begin_on_the_loop_that_stops(WithOptions how = WithOptions()) {
    auto build = [this]() -> Async<int> {
      if (++built == 1) SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, kBuilding));
      co_return built;
    };
    auto durable = Durable<int>::create(build, never_broken, options_on());
    asio::co_spawn(stops, ask_number(durable, seen, "first "), asio::detached);
    poll_all({&stops});
    asio::co_spawn(running, ask_number(durable, seen, "second ", how), asio::detached);
    poll_all({&running});
    EXPECT_EQ(durable.statistics().waiting, 2u);
    return durable;
  }
  void pass_time(Duration span) {
    clock.advance(span);
    poll_all({&running});
  }

  static constexpr auto kBuilding = 10s;
  asio::io_context stops{1};
  asio::io_context running{1};
  int built = 0;
  Seen seen;
};

TEST_F(DurableCutOffAttempts, an_attempt_on_a_loop_that_was_stopped_is_given_up) {
  const auto durable = begin_on_the_loop_that_stops();
  stops.stop();
  pass_time(3s);
  EXPECT_EQ(seen, Seen{"second closed"});
  asio::co_spawn(running, ask_number(durable, seen, "third "), asio::detached);
  poll_all({&running});
  pass_time(1s);  // a pause
  EXPECT_EQ(seen.back(), "third 2");
  poll_all({&stops});
  EXPECT_EQ(seen.back(), "first closed");
  clock.advance(kBuilding);
  poll_all({&stops, &running});
  EXPECT_EQ(built, 2);
  EXPECT_EQ(clock.pending_timers(), 0u);
}

TEST_F(DurableCutOffAttempts, who_waits_until_connected_begins_anew_where_a_loop_was_stopped) {
  const auto durable = begin_on_the_loop_that_stops(WithOptions{.when_down = WhenDown::wait});
  stops.stop();
  for (int second = 0; second < 5; ++second) pass_time(1s);
  EXPECT_EQ(seen, Seen{"second 2"});
}

// It may be slow, or its thread at work elsewhere.
TEST_F(DurableCutOffAttempts, an_attempt_on_a_loop_that_was_not_stopped_is_waited_for) {
  const auto durable = begin_on_the_loop_that_stops();
  for (int second = 0; second < 20; ++second) pass_time(1s);
  EXPECT_EQ(seen, Seen());
  poll_all({&stops, &running});
  EXPECT_EQ(seen, (Seen{"first 1", "second 1"}));
}

// ---- invalidate ----

TEST_F(DurableCutOff, what_is_invalidated_while_it_is_being_built_is_not_used) {
  int address = 1, built = 0;
  simulated_run(clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto build = [&]() -> Async<int> {
      ++built;
      const int to = address;
      SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, 1s));
      co_return to;
    };
    auto durable = Durable<int>::create(build, never_broken, options_on());
    Seen seen;
    const WithOptions patient{.when_down = WhenDown::wait};
    asio::co_spawn(executor, ask_number(durable, seen, "once "), asio::detached);
    asio::co_spawn(executor, ask_number(durable, seen, "waits ", patient), asio::detached);
    static_cast<void>(co_await sleep_for(clock, 500ms));
    address = 2;
    durable.invalidate();
    static_cast<void>(co_await sleep_for(clock, 1min));
    EXPECT_EQ(seen, (Seen{"once retry", "waits 2"}));
    EXPECT_EQ(built, 2);
    co_await ask_number(durable, seen);
    EXPECT_EQ(seen.back(), "2");
    const int old = 0;  // a value of before says nothing of the one that is being built
    durable.invalidate();
    asio::co_spawn(executor, ask_number(durable, seen, "again "), asio::detached);
    static_cast<void>(co_await sleep_for(clock, 500ms));
    durable.invalidate(old);
    static_cast<void>(co_await sleep_for(clock, 1min));
    EXPECT_EQ(seen.back(), "again 2");
    EXPECT_EQ(built, 3);
  }());
}

TEST_F(DurableCutOff, what_is_invalidated_while_it_is_judged_is_not_announced_as_intact) {
  std::optional<Durable<int>> durable;
  bool invalidates = false;
  auto build = []() -> Async<int> { co_return 1; };
  auto judge = [&](const int&) {
    if (std::exchange(invalidates, false)) durable->invalidate();
    return false;
  };
  durable = Durable<int>::create(build, judge, options_on());
  Seen published;
  auto heard = durable->is_intact().subscribe(
      [&](bool intact) { published.push_back(intact ? "intact" : "lost"); });
  Seen seen;
  simulated_run(clock, ask_number(*durable, seen));
  invalidates = true;
  static_cast<void>(durable->check());
  EXPECT_EQ(published, (Seen{"lost", "intact", "lost"}));
  EXPECT_FALSE(durable->statistics().intact);
}

// ---- the last share of a value ----

// Lets go of a value whenever it is asked for the time.
class DroppingClock final : public Clock {
 public:
  explicit DroppingClock(Clock& of) : of_(of) {}
  MonotonicTime now() const noexcept override {
    if (drops) kept = nullptr;
    return of_.now();
  }
  WallTime wall_time() const noexcept override { return of_.wall_time(); }
  TimerId call_at(MonotonicTime when, std::function<void()> callback) override {
    return of_.call_at(when, std::move(callback));
  }
  bool cancel(TimerId timer) noexcept override { return of_.cancel(timer); }

  bool drops = false;
  mutable internal::HeldPointer kept;

 private:
  Clock& of_;
};

TEST_F(DurableCutOff,
       a_value_whose_last_user_leaves_during_a_search_is_disposed_of_without_the_lock) {
  DroppingClock dropping(clock);
  std::shared_ptr<internal::DurableCore> core;
  std::vector<std::future<void>> asked;
  int built = 0, broken_below = 0, disposed = 0;
  bool is_free = true;
  auto options = options_on();
  options.env.clock = &dropping;
  options.retry = std::nullopt;
  options.dispose = [&](int&) {
    ++disposed;
    asked.push_back(std::async(std::launch::async, [&] { static_cast<void>(core->statistics()); }));
    is_free = is_free && asked.back().wait_for(kLockPatience) == std::future_status::ready;
  };
  auto build = [&]() -> Async<int> { co_return ++built; };
  core = internal::make_core<int>(
      build, [&](const int& number) { return number <= broken_below; }, nullptr, options, nullptr,
      0);
  simulated_run(clock, [&]() -> Task<void> {
    const internal::Call once;
    auto first = co_await core->heal(nullptr, once);
    dropping.kept = std::move(*first);
    first = internal::HeldPointer();
    broken_below = 1;
    auto second = co_await core->heal(dropping.kept, once);
    EXPECT_EQ(built, 2);
    auto late = core->heal(dropping.kept, once);
    dropping.drops = true;
    auto third = co_await std::move(late);
    EXPECT_EQ(*third, *second);
    EXPECT_EQ(disposed, 1);
  }());
  EXPECT_TRUE(is_free);
  core->close();
}

}  // namespace
}  // namespace semper
