// A lock whose holders vanish one after another: its message may be what ends them.
#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE_ON(LockHolders, worlds_in(TimeKind::simulated));

// As docs/architecture.md has it: kLockHoldersVanished.
constexpr int kVanished = 10;

// Works until its process ends.
struct EndlessLock {
  using State = std::int64_t;
  struct Work {
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Work, Read>;
  Result<State> init(const EntityId&) { return 7; }
  Reply<std::int64_t> handle_call(const Work&, State&, Context&) { return lock(); }
  Task<Reply<std::int64_t>> handle_locked(const Work&, State& s, LockedContext& context) {
    ++runs;
    while (!context.lost().stop_requested()) {
      static_cast<void>(co_await sleep_for(context.clock(), 5ms));
    }
    ++losses;
    ++s;
    throw std::runtime_error("interrupted");
  }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s; }

  int runs = 0;
  int losses = 0;  // that it was told of
};

Task<std::shared_ptr<std::optional<Result<std::int64_t>>>> call_work(World& world) {
  auto answer = std::make_shared<std::optional<Result<std::int64_t>>>();
  auto& caller = *world.loop(co_await world.open());
  asio::co_spawn(
      caller.executor(),
      [](Ref<EndlessLock> to,
         std::shared_ptr<std::optional<Result<std::int64_t>>> out) -> Task<void> {
        const CallOptions patient{kForever};
        out->emplace(co_await to.call(EndlessLock::Work{}, patient));
      }(ref<EndlessLock>(caller.store(), "e"), answer),
      asio::detached);
  co_return answer;
}

SERVER_TEST(LockHolders, who_keep_vanishing_get_their_message_set_aside_at_the_bound) {
  auto behaviour = std::make_shared<EndlessLock>();
  const auto answer = co_await call_work(world);
  for (int i = 1; i <= kVanished; ++i) {
    auto* holder = co_await world.serve(behaviour);
    co_await world.eventually([&] { return behaviour->runs == i; });
    EXPECT_FALSE(*answer);
    holder->kill();
  }
  co_await world.serve(behaviour);
  co_await world.eventually([&] { return answer->has_value(); });
  const auto error = must_fail(**answer);
  EXPECT_EQ(error.kind(), ErrorKind::internal) << error.to_string();
  EXPECT_NE(error.message().find("after 10 holders"), std::string::npos) << error.to_string();
  EXPECT_EQ(behaviour->runs, kVanished);
  const auto view = co_await world.look(world.ref<EndlessLock>("e"));
  EXPECT_EQ(view.dead_letters, 1u);
  EXPECT_FALSE(view.lock);
  // The entity goes on, with the state that it had.
  EXPECT_EQ(must(co_await world.ref<EndlessLock>("e").call(EndlessLock::Read{})), 7);
  co_await world.until_clean();
}

// A holder whose store does not answer any more, in the one way or the other.
Task<void> expect_told_in_time(World& world, StoreFaults away) {
  auto behaviour = std::make_shared<EndlessLock>();
  HostOptions options = quick_options();
  options.lock_lease = 3s;
  std::shared_ptr<FaultyBackend> faults;
  const Store store = co_await world.open_faulty(faults);
  auto* holder = world.process(store, options);
  holder->host().serve(behaviour);
  must(co_await holder->run(holder->host().start()));
  const auto answer = co_await call_work(world);
  co_await world.eventually([&] { return behaviour->runs == 1; });
  const MonotonicTime began = world.clock().now();
  faults->set_faults(away);
  co_await world.eventually([&] { return behaviour->losses == 1; });
  EXPECT_LE(world.clock().now() - began, options.lock_lease + 100ms)
      << "another host may have the lock from then on";
  faults->calm();
  must(co_await sleep_for(world.clock(), 1min));
}

SERVER_TEST(LockHolders, who_cannot_reach_the_store_are_told_when_their_lease_is_over) {
  StoreFaults refused;
  refused.snapshot_refused = 1;
  co_await expect_told_in_time(world, refused);
}

SERVER_TEST(LockHolders, whose_store_does_not_answer_are_told_when_their_lease_is_over) {
  StoreFaults silent;
  silent.slow = 1;
  silent.slow_by = 1h;
  co_await expect_told_in_time(world, silent);
}

SERVER_TEST(LockHolders, who_are_stopped_in_order_are_not_counted_and_hand_over_at_once) {
  auto behaviour = std::make_shared<EndlessLock>();
  HostOptions options = quick_options();
  options.lock_lease = 60s;
  const auto answer = co_await call_work(world);
  for (int i = 1; i <= kVanished + 2; ++i) {
    auto* holder = co_await world.serve(behaviour, options);
    const MonotonicTime began = world.clock().now();
    co_await world.eventually([&] { return behaviour->runs == i; });
    // The one before did not keep it waiting for its lease; a look takes a third of it.
    EXPECT_LT(world.clock().now() - began, 45s);
    must(co_await holder->run(holder->host().stop()));
    EXPECT_FALSE(*answer);
  }
  EXPECT_EQ((co_await world.look(world.ref<EndlessLock>("e"))).dead_letters, 0u);
}

}  // namespace
}  // namespace semper::testing
