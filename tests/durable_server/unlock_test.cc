// unlock is an operator's: it gets through whoever writes the entity.
#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE_ON(Unlock, worlds_in(TimeKind::simulated));

// Held until it is told to end; Poke writes, also while the lock is held.
struct Held {
  using State = std::int64_t;
  struct Hold {
    using Reply = std::int64_t;
  };
  struct Poke {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Hold, Poke>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Hold&, State&, Context&) { return lock(); }
  Task<Reply<std::int64_t>> handle_locked(const Hold&, State&, LockedContext& context) {
    const int run = ++runs;
    while (!is_over && run == 1) static_cast<void>(co_await sleep_for(context.clock(), 5ms));
    co_return run;
  }
  Reply<std::int64_t> handle_call(const Poke&, State& s, Context&) { return ++s; }

  int runs = 0;
  bool is_over = false;
};

SERVER_TEST(Unlock, gets_through_priority_messages_that_write_without_a_pause) {
  auto behaviour = std::make_shared<Held>();
  HostOptions options = quick_options();
  options.lock_lease = 10min;
  auto& server = *co_await world.serve(behaviour, options);
  auto& caller = *world.loop(co_await world.open());
  auto answer = std::make_shared<std::optional<Result<std::int64_t>>>();
  asio::co_spawn(
      caller.executor(),
      [](Ref<Held> to, std::shared_ptr<std::optional<Result<std::int64_t>>> out) -> Task<void> {
        const CallOptions patient{kForever};
        out->emplace(co_await to.call(Held::Hold{}, patient));
      }(ref<Held>(caller.store(), "h"), answer),
      asio::detached);
  co_await world.eventually([&] { return behaviour->runs == 1; });

  auto pokes = std::make_shared<std::int64_t>(0);
  auto stop = std::make_shared<bool>(false);
  asio::co_spawn(
      server.executor(),
      [](Process* on, std::shared_ptr<std::int64_t> count, std::shared_ptr<bool> over,
         Clock* clock) -> Task<void> {
        while (!*over) {
          const auto poked = co_await on->ref<Held>("h").priority_call(Held::Poke{});
          if (poked) ++*count;
          static_cast<void>(co_await sleep_for(*clock, 1ms));
        }
      }(&server, pokes, stop, &world.clock()),
      asio::detached);
  std::shared_ptr<FaultyBackend> faults;
  const Store slow = co_await world.open_faulty(faults);
  StoreFaults delays;
  delays.delay = 1;
  delays.delay_by = 40ms;
  faults->set_faults(delays);
  const MonotonicTime began = world.clock().now();
  must(co_await ref<Held>(slow, "h").untyped().unlock());
  EXPECT_LT(world.clock().now() - began, 5s);
  EXPECT_GT(*pokes, 10);
  // The first holder's result is refused, the message handled again.
  behaviour->is_over = true;
  co_await world.eventually([&] { return answer->has_value(); });
  EXPECT_EQ(must(**answer), 2);
  *stop = true;
  must(co_await sleep_for(world.clock(), 1s));
  EXPECT_FALSE((co_await world.look(world.ref<Held>("h"))).lock);
  // Nothing is left to unlock, and nothing of the order keeps the entity.
  const auto again = co_await world.ref<Held>("h").untyped().unlock();
  EXPECT_EQ(must_fail(again).kind(), ErrorKind::not_found);
  must(co_await world.ref<Held>("h").untyped().reset());
  EXPECT_EQ(must(co_await world.ref<Held>("h").call(Held::Poke{})), 1);
  co_await world.until_clean();
}

// Holds until it is told to end, in every run.
struct Vigil {
  using State = std::int64_t;
  struct Keep {};
  using Messages = semper::Messages<Keep>;
  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Keep&, State&, Context&) { return lock(); }
  Task<Outcome> handle_locked(const Keep&, State& s, LockedContext& context) {
    ++runs;
    while (!is_over) static_cast<void>(co_await sleep_for(context.clock(), 5ms));
    ++s;
    co_return Outcome();
  }

  int runs = 0;
  bool is_over = false;
};

// The callback that asked for the lock has survived each of its runs.
SERVER_TEST(Unlock, a_message_whose_lock_holders_are_killed_is_not_set_aside) {
  auto vigil = std::make_shared<Vigil>();
  auto ref = world.ref<Vigil>("v");
  must(co_await ref.cast(Vigil::Keep{}));
  for (int round = 1; round <= 6; ++round) {
    auto& server = *co_await world.serve(vigil);
    co_await world.eventually([&] { return vigil->runs >= round; });
    server.kill();
    must(co_await ref.untyped().unlock());
  }
  vigil->is_over = true;
  auto& server = *co_await world.serve(vigil);
  co_await world.until_processed(ref.untyped());
  EXPECT_EQ((co_await world.look(ref)).dead_letters, 0u);
  EXPECT_EQ(vigil->runs, 7);
  EXPECT_EQ(server.host().statistics().dead_letters, 0u);
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
