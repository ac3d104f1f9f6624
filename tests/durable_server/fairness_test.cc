// Nobody starves: a queue beside priority messages, priority messages beside a failing one, an
// entity beside many busy ones.
#include <atomic>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(Fairness);

// Where a commit is done when it returns: the other process has to get through within a callback.
SERVER_SUITE_ON(SimulatedFairness, calm_worlds());

// Work takes a while, as the simulated clock has it; Poke is quick.
struct Worker {
  using State = std::int64_t;
  struct Work {
    std::int64_t milliseconds = 0;
  };
  struct Poke {
    using Reply = std::int64_t;
  };
  struct Fail {};
  struct Again {  // for ever
    std::int64_t round = 0;
  };
  using Messages = semper::Messages<Work, Poke, Fail, Again>;
  explicit Worker(World& world) : clock(dynamic_cast<SimulatedClock*>(&world.clock())) {}
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Work& m, State& s, Context&) {
    if (clock != nullptr) clock->advance(std::chrono::milliseconds(m.milliseconds));
    ++s;
    if (while_working) while_working();
  }
  Reply<std::int64_t> handle_call(const Poke&, State& s, Context&) { return ++s; }
  void handle_cast(const Fail&, State&, Context&) {
    ++failures;
    throw std::runtime_error("never");
  }
  void handle_cast(const Again& m, State& s, Context& context) {
    if (clock != nullptr) clock->advance(1ms);  // or simulated time would stand still
    ++s;
    ++rounds;
    if (!enough) {
      context.cast(semper::ref<Worker>(context.tenant(), context.id().id), Again{m.round + 1});
    }
  }
  SimulatedClock* const clock;
  std::function<void()> while_working;
  std::atomic<int> failures{0};
  std::atomic<int> rounds{0};
  std::atomic<bool> enough{false};
};

SERVER_TEST(SimulatedFairness, a_queue_is_processed_beside_priority_writes_of_another_process) {
  constexpr int kMessages = 40;
  auto worker = world.ref<Worker>("w");
  for (int i = 0; i < kMessages; ++i) must(co_await worker.cast(Worker::Work{10}));
  asio::io_context loop(1);
  auto options = quick_options();
  options.host_lease = 1h;
  options.executor = loop.get_executor();
  const Store store = co_await world.open();
  Host other(store, options);
  other.serve(std::make_shared<Worker>(world));
  const auto poke = [&]() -> Task<void> {
    static_cast<void>(co_await semper::ref<Worker>(store, "w").priority_call(Worker::Poke{}));
  };
  // Every 30 ms, so also in the middle of a batch, the other process changes the state: a batch of
  // batch_time (50 ms) always loses.
  auto behaviour = std::make_shared<Worker>(world);
  auto last = world.clock().now();
  int pokes = 0;
  behaviour->while_working = [&] {
    if (world.clock().now() - last < 30ms) return;
    last = world.clock().now();
    ++pokes;
    asio::co_spawn(loop, poke(), asio::detached);
    loop.restart();
    loop.poll();
  };
  options.executor = {};
  auto& server = *co_await world.serve<Worker>(behaviour, options);
  co_await world.until_processed(worker.untyped());
  EXPECT_GT(pokes, 10);
  EXPECT_GT(server.host().statistics().conflicts, 0u);
  const auto view = co_await world.look(worker);
  EXPECT_EQ(must(decode<std::int64_t>(*view.state)), kMessages + pokes);
  behaviour->while_working = nullptr;
}

SERVER_TEST(Fairness, a_priority_message_does_not_wait_behind_the_pause_of_one_that_fails) {
  auto options = quick_options();
  options.message_backoff = {.initial = 1h, .maximum = 1h};
  auto behaviour = std::make_shared<Worker>(world);
  auto& server = *co_await world.serve<Worker>(behaviour, options);
  must(co_await world.ref<Worker>("w").cast(Worker::Fail{}));
  co_await world.eventually([&] { return behaviour->failures >= 1; });
  for (int i = 1; i <= 5; ++i) {
    const CallOptions patient{world.patience()};
    EXPECT_EQ(must(co_await server.ref<Worker>("w").priority_call(Worker::Poke{}, patient)), i);
  }
  EXPECT_LT(behaviour->failures, 3);
  EXPECT_EQ(must(co_await world.ref<Worker>("w").queue_length()), 1u);
}

SERVER_TEST(Fairness, a_queue_is_processed_beside_priority_messages_without_end) {
  auto behaviour = std::make_shared<Worker>(world);
  auto& server = *co_await world.serve<Worker>(behaviour);
  std::atomic<bool> done = false;
  constexpr int kPriority = 32;  // as many wait at any time
  co_await world.in_parallel(kPriority + 1, [&](int who) -> Task<void> {
    const CallOptions patient{world.patience()};
    if (who < kPriority) {
      while (!done) {
        must(co_await server.ref<Worker>("w").priority_call(Worker::Poke{}, patient));
      }
      co_return;
    }
    for (int i = 0; i < 10; ++i) {
      must(co_await world.ref<Worker>("w").cast(Worker::Work{0}));
    }
    co_await world.until_processed(world.ref<Worker>("w").untyped());
    done = true;
  });
}

SERVER_TEST(Fairness, more_busy_entities_than_may_be_active_do_not_keep_others_waiting) {
  auto options = quick_options();
  options.active_entities = 3;
  auto behaviour = std::make_shared<Worker>(world);
  co_await world.serve<Worker>(behaviour, options);
  constexpr int kBusy = 7;
  for (int i = 0; i < kBusy; ++i) {
    must(co_await world.ref<Worker>("busy " + std::to_string(i)).cast(Worker::Again{0}));
  }
  co_await world.eventually([&] { return behaviour->rounds > 50; });
  for (int i = 0; i < 20; ++i) {
    auto other = world.ref<Worker>("other " + std::to_string(i));
    must(co_await other.cast(Worker::Work{0}));
    co_await world.until_processed(other.untyped());
  }
  for (int i = 0; i < kBusy; ++i) {
    auto busy = world.ref<Worker>("busy " + std::to_string(i));
    co_await world.eventually([&]() -> Task<bool> {
      const auto view = co_await world.look(busy);
      co_return view.state && must(decode<std::int64_t>(*view.state)) > 20;
    });
  }
  behaviour->enough = true;
  for (int i = 0; i < kBusy; ++i) {
    co_await world.until_processed(world.ref<Worker>("busy " + std::to_string(i)).untyped());
  }
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
