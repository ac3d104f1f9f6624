// A pool: its bound, its order, who gets what, and what becomes of connections that break.
#include "semper/durable/pool.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;
using Seen = std::vector<std::string>;

struct Session {
  int number = 0;
  bool busy = false;
};

struct PoolWorld {
  PoolWorld() {
    options.connections = 3;
    options.each.name = "pool";
    options.each.env = Env{&clock, &random};
    options.each.dispose = [this](Session& session) {
      EXPECT_FALSE(session.busy);
      ++disposed;
    };
  }
  Async<Session> connect() {
    ++attempts;
    if (!is_up) co_return fail(ErrorKind::io, "nobody there");
    Session made;
    made.number = ++connections;
    co_return made;
  }
  Pool<Session> pool() {
    return Pool<Session>::create(
        [this] { return connect(); },
        [this](const Session& session) { return broken.count(session.number) > 0; }, options);
  }
  Task<void> caller(Pool<Session> pool, std::string name, WithOptions how = WithOptions()) {
    int used = 0;
    auto f = [this, &used](Session& session) -> Async<void> {
      EXPECT_FALSE(session.busy) << "two f on one connection";
      struct Busy {
        Session& session;
        explicit Busy(Session& of) : session(of) { session.busy = true; }
        ~Busy() { session.busy = false; }
      } busy(session);
      used = session.number;
      most = std::max(most, ++running);
      auto slept = co_await sleep_for(clock, 1s);
      --running;
      co_return slept;
    };
    auto done = co_await pool.with(how, f);
    seen.push_back(name + "=" +
                   (done ? std::to_string(used) : std::string(to_string(done.error().kind()))));
    if (!done) last_error = done.error().to_string();
  }

  SimulatedClock clock;
  SeededRandom random{1};
  PoolOptions<Session> options;
  bool is_up = true;
  std::set<int> broken;
  int attempts = 0, connections = 0, disposed = 0, running = 0, most = 0;
  Seen seen;
  std::string last_error;
};

TEST(Pool, it_uses_no_more_than_its_connections_and_serves_waiters_in_order) {
  PoolWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto pool = world.pool();
    for (char name = 'a'; name < 'h'; ++name) {
      asio::co_spawn(executor, world.caller(pool, std::string(1, name)), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 500ms));
    EXPECT_EQ(pool.statistics().in_use, 3u);
    EXPECT_EQ(pool.statistics().waiting, 4u);
    EXPECT_EQ(pool.statistics().intact, 3u);
    static_cast<void>(co_await sleep_for(world.clock, 1min));
    EXPECT_EQ(pool.statistics().calls, 7u);
  }());
  EXPECT_EQ(world.seen, (Seen{"a=1", "b=2", "c=3", "d=1", "e=2", "f=3", "g=1"}));
  EXPECT_EQ(world.most, 3);
  EXPECT_EQ(world.disposed, 3);
}

TEST(Pool, under_little_load_it_uses_one_connection) {
  PoolWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    auto pool = world.pool();
    for (int i = 0; i < 10; ++i) co_await world.caller(pool, "a");
  }());
  EXPECT_EQ(world.connections, 1);
}

TEST(Pool, a_broken_connection_is_replaced_and_the_others_stay) {
  PoolWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto pool = world.pool();
    for (const char* name : {"a", "b", "c"}) {
      asio::co_spawn(executor, world.caller(pool, name), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 2s));
    world.broken = {2};
    for (const char* name : {"d", "e", "f"}) {
      asio::co_spawn(executor, world.caller(pool, name), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 2s));
  }());
  EXPECT_EQ(world.connections, 4);
  EXPECT_EQ(world.disposed, 4);
}

TEST(Pool, its_deadline_says_how_many_are_in_use_and_wait) {
  PoolWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto pool = world.pool();
    for (const char* name : {"a", "b", "c"}) {
      asio::co_spawn(executor, world.caller(pool, name), asio::detached);
    }
    const WithOptions soon{.deadline = 100ms};
    co_await world.caller(pool, "late", soon);
    EXPECT_EQ(world.seen, Seen{"late=timeout"});
    EXPECT_NE(world.last_error.find("3 of 3 in use"), std::string::npos) << world.last_error;
    static_cast<void>(co_await sleep_for(world.clock, 2s));
    EXPECT_EQ(pool.statistics().in_use, 0u);
  }());
}

TEST(Pool, a_cancelled_f_costs_its_connection_and_not_its_place) {
  PoolWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto pool = world.pool();
    for (int round = 0; round < 20; ++round) {
      asio::cancellation_signal signal;
      asio::co_spawn(executor, world.caller(pool, "gone"),
                     asio::bind_cancellation_slot(signal.slot(), asio::detached));
      static_cast<void>(co_await sleep_for(world.clock, 500ms));
      signal.emit(asio::cancellation_type::terminal);
      static_cast<void>(co_await sleep_for(world.clock, 500ms));
    }
    EXPECT_EQ(pool.statistics().in_use, 0u);
    world.seen.clear();
    for (const char* name : {"a", "b", "c"}) {
      asio::co_spawn(executor, world.caller(pool, name), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 5s));
    EXPECT_EQ(world.seen.size(), 3u);
  }());
  EXPECT_EQ(world.disposed, world.connections);
}

TEST(Pool, closing_refuses_callers_that_wait_and_lets_those_that_run_finish) {
  PoolWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto pool = world.pool();
    for (const char* name : {"a", "b", "c", "d", "e"}) {
      asio::co_spawn(executor, world.caller(pool, name), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 500ms));
    co_await pool.join();
    static_cast<void>(co_await sleep_for(world.clock, 10ms));
    EXPECT_EQ(world.seen, (Seen{"d=closed", "e=closed"}));
    static_cast<void>(co_await sleep_for(world.clock, 1s));
    EXPECT_EQ(world.seen, (Seen{"d=closed", "e=closed", "a=1", "b=2", "c=3"}));
    co_await world.caller(pool, "f");
    EXPECT_EQ(world.seen.back(), "f=closed");
  }());
  EXPECT_EQ(world.disposed, 3);
}

TEST(Pool, while_the_server_is_gone_callers_fail_or_wait_as_they_asked) {
  PoolWorld world;
  world.is_up = false;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto pool = world.pool();
    const WithOptions patient{.when_down = WhenDown::wait};
    const WithOptions hasty{.when_down = WhenDown::fail};
    for (int i = 0; i < 10; ++i) {
      asio::co_spawn(executor, world.caller(pool, "patient", patient), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 10s));
    EXPECT_EQ(world.seen, Seen{});
    co_await world.caller(pool, "hasty", hasty);
    EXPECT_EQ(world.seen, Seen{"hasty=retry"});
    world.is_up = true;
    static_cast<void>(co_await sleep_for(world.clock, 30s));
    EXPECT_EQ(world.seen.size(), 11u);
  }());
  for (std::size_t i = 1; i < world.seen.size(); ++i) EXPECT_EQ(world.seen[i].find("patient="), 0u);
  EXPECT_LE(world.most, 3);
}

TEST(Pool, its_metrics_are_those_of_all_places_under_one_name) {
  PoolWorld world;
  metrics::Registry registry;
  world.options.each.metrics = &registry;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto pool = world.pool();
    for (const char* name : {"a", "b", "c"}) {
      asio::co_spawn(executor, world.caller(pool, name), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 2s));
    const std::string text = registry.to_prometheus();
    EXPECT_NE(text.find("semper_durable_intact{name=\"pool\"} 3"), std::string::npos) << text;
    EXPECT_EQ(text.find("pool#"), std::string::npos) << text;
    co_await pool.join();
  }());
}

}  // namespace
}  // namespace semper
