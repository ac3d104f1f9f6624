// Hosts with more ticks than they can send, and who gets which of them.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "semper/open_store.h"
#include "semper/server/host.h"
#include "semper/server/ref.h"
#include "semper/testing/faulty_backend.h"
#include "semper/testing/simulated_run.h"
#include "server/format/keys.h"
#include "server/format/lease.h"
#include "server/format/records.h"

namespace semper {
namespace {

using namespace std::chrono_literals;

constexpr int kOverloadedEntities = 32;

struct Overloaded {
  using State = std::int64_t;
  struct Begin {};
  struct Tick {};
  using Messages = semper::Messages<Begin, Tick>;

  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Begin&, State&, Context& context) {
    const EveryOptions often{.period = 1ms};
    const Tick tick;
    context.send_every("t", often, tick);
  }
  void handle_cast(const Tick&, State& s, Context& context) {
    ++s;
    ++ticks[context.id().id];
  }
  std::map<std::string, int> ticks;
};

TEST(DueShares, a_host_that_never_catches_up_hands_shards_over_to_one_that_comes) {
  testing::SimulatedClock clock;
  SeededRandom random(1);
  const Env env{&clock, &random};
  testing::simulated_run(clock, [&]() -> Task<void> {
    register_builtin_backends();
    auto memory = co_await open_backend("memory:", env);
    testing::StoreFaults slow;
    slow.delay = 1;
    const auto backend = std::make_shared<testing::FaultyBackend>(*memory, env, slow);
    const Store store_of_first(backend, env);
    const Store store_of_second(backend, env);
    HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    const auto first = std::make_shared<Overloaded>();
    const auto second = std::make_shared<Overloaded>();
    Host first_host(store_of_first, options);
    first_host.serve(first);
    EXPECT_TRUE(co_await first_host.start());
    const Overloaded::Begin begin;
    for (int i = 0; i < kOverloadedEntities; ++i) {
      const auto entity = ref<Overloaded>(store_of_first, std::to_string(i));
      EXPECT_TRUE(co_await entity.cast(begin));
    }
    static_cast<void>(co_await sleep_for(clock, 5s));
    EXPECT_EQ(first->ticks.size(), std::size_t{kOverloadedEntities});
    Host second_host(store_of_second, options);
    second_host.serve(second);
    EXPECT_TRUE(co_await second_host.start());
    static_cast<void>(co_await sleep_for(clock, 10s));
    first->ticks.clear();
    second->ticks.clear();
    static_cast<void>(co_await sleep_for(clock, 10s));
    EXPECT_FALSE(first->ticks.empty());
    EXPECT_FALSE(second->ticks.empty());
    for (const auto& [id, ticks] : second->ticks) {
      EXPECT_FALSE(first->ticks.contains(id)) << "both send those of " << id;
    }
    EXPECT_TRUE(co_await first_host.stop());
    EXPECT_TRUE(co_await second_host.stop());
  }());
}

struct SharedWork {
  using State = std::int64_t;
  struct Add {};
  using Messages = semper::Messages<Add>;
  int runs = 0;

  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Add&, State& s, Context&) {
    ++s;
    ++runs;
  }
};

// Rows of hosts that fill more than one page, before those of both.
TEST(HostShares, hosts_see_each_other_however_many_there_are) {
  constexpr int kHosts = 80;
  constexpr int kEntities = 64;
  testing::SimulatedClock clock;
  SeededRandom random(1);
  const Env env{&clock, &random};
  testing::simulated_run(clock, [&]() -> Task<void> {
    register_builtin_backends();
    auto memory = co_await open_backend("memory:", env);
    testing::StoreFaults slow;
    slow.delay = 1;
    const auto backend = std::make_shared<testing::FaultyBackend>(*memory, env, slow);
    const Store store_of_first(backend, env);
    const Store store_of_second(backend, env);
    const std::size_t bytes = store_of_first.limits().value_bytes - 1'000;
    EXPECT_GT(kHosts * bytes, kRangeBytesMaximum);
    for (int i = 0; i < kHosts; ++i) {
      internal::AliveRecord record;
      record.name = std::string(bytes, 'x');
      record.lease_ms = internal::lease_in_row(kForever);
      Bytes id(8, '\0');
      id[7] = static_cast<char>(i);
      const Bytes key = internal::host_key(Tenant(store_of_first).prefix(), id);
      const Bytes row = internal::encode_alive(record);
      const auto write = [&](Transaction& transaction) -> Async<void> {
        transaction.set(key, row);
        co_return Status{};
      };
      EXPECT_TRUE(co_await store_of_first.transact(write));
    }
    HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    const auto first = std::make_shared<SharedWork>();
    const auto second = std::make_shared<SharedWork>();
    Host first_host(store_of_first, options);
    first_host.serve(first);
    EXPECT_TRUE(co_await first_host.start());
    Host second_host(store_of_second, options);
    second_host.serve(second);
    EXPECT_TRUE(co_await second_host.start());
    static_cast<void>(co_await sleep_for(clock, 5s));
    const Store store_of_sender(backend, env);
    const SharedWork::Add add;
    for (int i = 0; i < kEntities; ++i) {
      const auto entity = ref<SharedWork>(store_of_sender, std::to_string(i));
      EXPECT_TRUE(co_await entity.cast(add));
    }
    static_cast<void>(co_await sleep_for(clock, 30s));
    EXPECT_GT(first->runs, 0);
    EXPECT_GT(second->runs, 0);
    EXPECT_EQ(first->runs + second->runs, kEntities) << "both take the same work";
    EXPECT_TRUE(co_await first_host.stop());
    EXPECT_TRUE(co_await second_host.stop());
  }());
}

}  // namespace
}  // namespace semper
