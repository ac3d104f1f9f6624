// Rows that are none of ours, or damaged, where hosts look for work.
#include <gtest/gtest.h>

#include <string>

#include "semper/open_store.h"
#include "semper/server/host.h"
#include "semper/server/ref.h"
#include "semper/testing/simulated_run.h"
#include "server/format/keys.h"

namespace semper {
namespace {

using namespace std::chrono_literals;

struct AmongForeign {
  using State = std::int64_t;
  struct Add {};
  struct Later {};
  using Messages = semper::Messages<Add, Later>;
  int handled = 0;

  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Add&, State& s, Context&) {
    ++s;
    ++handled;
  }
  void handle_cast(const Later&, State&, Context& context) {
    const Add add;
    context.send_after("t", 1s, add);
  }
};

TEST(ForeignRows, keep_no_host_from_the_work_behind_them) {
  constexpr int kEntities = 40;  // some in each shard
  testing::SimulatedClock clock;
  SeededRandom random(1);
  const Env env{&clock, &random};
  testing::simulated_run(clock, [&]() -> Task<void> {
    register_builtin_backends();
    const Store store(*co_await open_backend("memory:", env), env);
    const Bytes prefix(Tenant(store).prefix());
    const std::string type(type_name<AmongForeign>());
    const auto write = [&](Transaction& transaction) -> Async<void> {
      for (std::uint32_t shard = 0; shard < internal::kIndexShards; ++shard) {
        // No tuple begins so: it comes before all ids and all times.
        transaction.set(internal::index_range(prefix, type, shard).begin + '\x01', {});
        transaction.set(internal::due_range(prefix, type, shard).begin + '\x01', {});
      }
      co_return Status{};
    };
    EXPECT_TRUE(co_await store.transact(write));
    const AmongForeign::Add add;
    const AmongForeign::Later later;
    for (int i = 0; i < kEntities; ++i) {
      const auto entity = ref<AmongForeign>(store, std::to_string(i));
      EXPECT_TRUE(co_await entity.cast(add));
      EXPECT_TRUE(co_await entity.cast(later));
    }
    HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    Host host(store, options);
    const auto behaviour = std::make_shared<AmongForeign>();
    host.serve(behaviour);
    EXPECT_TRUE(co_await host.start());
    static_cast<void>(co_await sleep_for(clock, 500ms));
    EXPECT_EQ(behaviour->handled, kEntities) << "messages in the queues";
    static_cast<void>(co_await sleep_for(clock, 60s));
    EXPECT_EQ(behaviour->handled, 2 * kEntities) << "and timers";
    EXPECT_TRUE(co_await host.stop());
  }());
}

}  // namespace
}  // namespace semper
