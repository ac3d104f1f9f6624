// Callers of a Durable that is down: who waits, for how long, with whom, and the crowd that comes
// back.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "durable/durable_test_support.h"
#include "semper/base/log.h"
#include "semper/durable/durable.h"
#include "semper/durable/internal/pace.h"
#include "semper/durable/stream.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using durable_test::never_broken;
using testing::simulated_run;
using testing::SimulatedClock;

// A server that is down, and clients that note when they came.
struct WaitingWorld {
  WaitingWorld() {
    options.name = "the server";
    options.env = Env{&clock, &random};
  }
  Async<int> connect() {
    ++attempts;
    came.push_back(clock.now());
    if (takes > Duration::zero()) SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, takes));
    if (!is_up) co_return fail(refusal, "nobody there");
    co_return 1;
  }
  Durable<int> durable() {
    return Durable<int>::create([this] { return connect(); }, never_broken, options);
  }
  Task<void> caller(Durable<int> on, WithOptions how) {
    auto value = co_await on.with(how, [](int& number) { return number; });
    seen.push_back(value ? "ok" : std::string(to_string(value.error().kind())));
    if (!value) last_error = value.error().to_string();
  }

  SimulatedClock clock;
  SeededRandom random{1};
  DurableOptions<int> options;
  bool is_up = false;
  ErrorKind refusal = ErrorKind::io;
  Duration takes{};
  int attempts = 0;
  std::vector<MonotonicTime> came;
  std::vector<std::string> seen;
  std::string last_error;
};

using Seen = std::vector<std::string>;
const WithOptions kPatient{.when_down = WhenDown::wait};
const WithOptions kHasty{.when_down = WhenDown::fail};
const WithOptions kOrdinary;

TEST(DurableWaiting, a_call_that_waits_is_served_when_the_server_is_back) {
  WaitingWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto durable = world.durable();
    for (int i = 0; i < 10; ++i) {
      asio::co_spawn(executor, world.caller(durable, kPatient), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 60s));
    EXPECT_EQ(world.seen, Seen{});
    EXPECT_EQ(durable.statistics().waiting, 10u);
    EXPECT_LT(world.attempts, 40) << "they attempt together, and pause";
    world.is_up = true;
    static_cast<void>(co_await sleep_for(world.clock, 10s));
    EXPECT_EQ(world.seen, Seen(10, "ok"));
    EXPECT_EQ(durable.statistics().waiting, 0u);
  }());
  EXPECT_EQ(world.clock.pending_timers(), 0u);
}

TEST(DurableWaiting, without_pauses_a_call_that_waits_does_not_spin) {
  WaitingWorld world;
  world.options.retry = std::nullopt;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto durable = world.durable();
    asio::co_spawn(executor, world.caller(durable, kPatient), asio::detached);
    static_cast<void>(co_await sleep_for(world.clock, 10s));
    EXPECT_LE(world.attempts, 101);
    world.is_up = true;
    static_cast<void>(co_await sleep_for(world.clock, 1s));
  }());
  EXPECT_EQ(world.seen, Seen{"ok"});
}

TEST(DurableWaiting, a_value_that_breaks_on_its_way_to_a_call_that_waits_is_made_anew) {
  for (const bool rebuilds : {false, true}) {
    WaitingWorld world;
    world.is_up = true;
    world.takes = 1s;  // all of them wait for the one attempt
    int looks = 0;
    // The attempt finds the first one intact, whoever gets it does not.
    std::optional<Durable<int>> durable;
    auto is_broken = [&](const int& number) {
      if (looks > 1'000) durable->close();  // instead of for ever
      return number == 1 && ++looks > 1;
    };
    auto create = [&]() -> Async<int> {
      SEMPER_CO_TRY_STATUS(co_await world.connect());
      co_return world.attempts;
    };
    Durable<int>::Rebuild rebuild;
    if (rebuilds) rebuild = [&](int&) { return create(); };
    durable = Durable<int>::create(create, is_broken, rebuild, world.options);
    simulated_run(world.clock, [&]() -> Task<void> {
      const auto executor = co_await asio::this_coro::executor;
      for (int i = 0; i < 3; ++i) {
        asio::co_spawn(executor, world.caller(*durable, kPatient), asio::detached);
      }
      static_cast<void>(co_await sleep_for(world.clock, 60s));
      EXPECT_EQ(world.seen, Seen(3, "ok"));
      EXPECT_EQ(world.attempts, 2);
      durable->close();
    }());
  }
}

TEST(DurableWaiting, its_deadline_is_timeout_and_names_the_last_failure) {
  for (const Duration takes : {Duration(0), Duration(700ms), Duration(1h)}) {
    WaitingWorld world;
    world.takes = takes;
    simulated_run(world.clock, [&]() -> Task<void> {
      auto durable = world.durable();
      WithOptions until = kPatient;
      until.deadline = 5s;
      co_await world.caller(durable, until);
      EXPECT_EQ(world.clock.now(), SimulatedClock::kStart + 5s);
      EXPECT_EQ(durable.statistics().waiting, 0u);
      durable.close();
    }());
    EXPECT_EQ(world.seen, Seen{"timeout"});
    if (takes > 5s) continue;
    EXPECT_NE(world.last_error.find("nobody there"), std::string::npos) << world.last_error;
  }
}

TEST(DurableWaiting, what_no_waiting_mends_is_an_error_at_once) {
  WaitingWorld permanent, limited, closed;
  permanent.refusal = ErrorKind::permission;
  permanent.options.is_permanent = is_permanent_error;
  limited.options.attempt_limit = 3;
  for (WaitingWorld* world : {&permanent, &limited}) {
    simulated_run(world->clock, world->caller(world->durable(), kPatient));
  }
  EXPECT_EQ(permanent.seen, Seen{"permission"});
  EXPECT_EQ(limited.seen, Seen{"io"});
  EXPECT_EQ(limited.attempts, 3);
  simulated_run(closed.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto durable = closed.durable();
    asio::co_spawn(executor, closed.caller(durable, kPatient), asio::detached);
    static_cast<void>(co_await sleep_for(closed.clock, 2s));
    durable.close();
    co_await yield_now();
    co_await yield_now();
    EXPECT_EQ(closed.seen, Seen{"closed"});
  }());
}

TEST(DurableWaiting, by_default_a_call_waits_for_the_end_of_the_pause_and_makes_one_attempt) {
  WaitingWorld world;
  world.options.retry = RetryOptions{.initial = 10s, .maximum = 10s};
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto durable = world.durable();
    co_await world.caller(durable, kOrdinary);
    EXPECT_EQ(world.clock.now(), SimulatedClock::kStart) << "the first attempt has no pause";
    for (int i = 0; i < 5; ++i) {
      asio::co_spawn(executor, world.caller(durable, kOrdinary), asio::detached);
    }
    co_await world.caller(durable, kHasty);
    EXPECT_EQ(world.seen, (Seen{"io", "retry"}));
    static_cast<void>(co_await sleep_for(world.clock, 11s));
    EXPECT_EQ(world.seen, (Seen{"io", "retry", "io", "io", "io", "io", "io"}));
    EXPECT_EQ(world.attempts, 2) << "those who waited share one";
  }());
}

TEST(DurableWaiting, reset_ends_the_pause_for_those_who_wait) {
  WaitingWorld world;
  world.options.retry = RetryOptions{.initial = 1h, .maximum = 1h};
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto durable = world.durable();
    asio::co_spawn(executor, world.caller(durable, kPatient), asio::detached);
    static_cast<void>(co_await sleep_for(world.clock, 1s));
    world.is_up = true;
    durable.reset();
    static_cast<void>(co_await sleep_for(world.clock, 1s));
  }());
  EXPECT_EQ(world.seen, Seen{"ok"});
}

TEST(DurableWaiting, those_who_wait_are_bounded_and_those_who_leave_are_not_counted) {
  WaitingWorld world;
  world.options.max_waiters = 3;
  world.options.retry = RetryOptions{.initial = 1min, .maximum = 1min};
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto durable = world.durable();
    co_await world.caller(durable, kHasty);
    asio::cancellation_signal signal;
    asio::co_spawn(executor, world.caller(durable, kPatient),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    for (int i = 0; i < 3; ++i) {
      asio::co_spawn(executor, world.caller(durable, kPatient), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 1s));
    EXPECT_EQ(world.seen, (Seen{"io", "retry"}));
    signal.emit(asio::cancellation_type::terminal);
    static_cast<void>(co_await sleep_for(world.clock, 1s));
    EXPECT_EQ(durable.statistics().waiting, 2u);
    world.is_up = true;
    static_cast<void>(co_await sleep_for(world.clock, 2min));
  }());
  EXPECT_EQ(std::count(world.seen.begin(), world.seen.end(), "ok"), 2);
}

// ---- the crowd ----

// The most that came within `window`, of those at or after `since`.
std::size_t most_within(std::vector<MonotonicTime> came, Duration window, MonotonicTime since) {
  std::sort(came.begin(), came.end());
  std::size_t most = 0;
  auto first = std::lower_bound(came.begin(), came.end(), since);
  for (auto last = first; last != came.end(); ++last) {
    while (*last - *first > window) ++first;
    most = std::max(most, static_cast<std::size_t>(last - first) + 1);
  }
  return most;
}

constexpr int kClients = 1000;

class Crowd : public ::testing::Test {
 protected:
  Crowd() {
    set_log_sink([](LogLevel, std::string_view, std::string_view) {});
  }
  ~Crowd() override { set_log_sink({}); }
};

TEST_F(Crowd, a_thousand_clients_of_a_server_that_is_back_do_not_come_in_one_instant) {
  SeededRandom random(testing::test_seed());
  WaitingWorld world;
  world.options.env.random = &random;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    std::vector<Durable<int>> clients;
    for (int i = 0; i < kClients; ++i) clients.push_back(world.durable());
    // All lose it in the same instant.
    for (auto& client : clients) {
      asio::co_spawn(executor, world.caller(client, kPatient), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 60s));
    world.is_up = true;
    const auto back = world.clock.now();
    static_cast<void>(co_await sleep_for(world.clock, 11s));
    EXPECT_EQ(world.seen.size(), static_cast<std::size_t>(kClients));
    EXPECT_LT(most_within(world.came, 100ms, back), 50u) << "1000 over 10 s are 10 in 100 ms";
  }());
}

using WaitingPipe = PipeStream<int>;

Task<WaitingPipe::Dispatched> dispatch_to(WaitingWorld& world) {
  world.came.push_back(world.clock.now());
  co_return stream::failed_to_connect(Error(ErrorKind::io, "nobody there"));
}

TEST_F(Crowd, a_thousand_streams_do_not_come_back_in_one_instant) {
  SeededRandom random(testing::test_seed());
  WaitingWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    StreamOptions options;
    options.env = Env{&world.clock, &random};
    options.max_buffered_events = 1000;
    const auto begun = world.clock.now();
    std::vector<WaitingPipe> streams;
    for (int i = 0; i < kClients; ++i) {
      streams.push_back(WaitingPipe::create(
          executor, [&](stream::DispatchRequest) { return dispatch_to(world); }, options));
    }
    static_cast<void>(co_await sleep_for(world.clock, 60s));
    EXPECT_LT(most_within(world.came, 50ms, begun + 1ms), 250u)
        << "the first time back: half a second";
    EXPECT_LT(most_within(world.came, 100ms, begun + 30s), 50u);
    const auto attempts = world.came.size();
    EXPECT_LT(attempts, 20u * kClients);
    for (auto& stream : streams) co_await stream.join();
  }());
}

TEST(Pauses, are_drawn_from_all_of_a_span_that_grows_and_never_under_half_of_the_first) {
  SeededRandom random(testing::test_seed());
  const RetryOptions options{.initial = 100ms, .maximum = 1s};
  internal::Pauses pauses(options, random);
  for (int run = 0; run < 1000; ++run) {
    pauses.reset();
    Duration span = 100ms;
    for (int i = 0; i < 8; ++i) {
      const Duration pause = pauses.next();
      EXPECT_GE(pause, 50ms);
      EXPECT_LE(pause, span);
      span = std::min<Duration>(2 * span, 1s);
    }
  }
  std::map<int, int> tenths;
  for (int i = 0; i < 10'000; ++i) ++tenths[static_cast<int>(pauses.next() / 100ms)];
  for (int tenth = 1; tenth < 10; ++tenth) EXPECT_GT(tenths[tenth], 800) << tenth;
}

}  // namespace
}  // namespace semper
