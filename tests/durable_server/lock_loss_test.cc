// The lease of a lock: it outlasts a blocked thread and a store that does not answer, and a result
// that comes after it is refused.
#include <atomic>

#include "workshop.h"

namespace semper::testing {
namespace {

SERVER_SUITE_ON(FrozenLocks, worlds_in(TimeKind::simulated));
SERVER_SUITE_ON(BlockedLocks, worlds_in(TimeKind::real));

using Lines = std::vector<std::string>;

SERVER_TEST(FrozenLocks, a_finished_result_outlasts_whatever_the_store_answers_meanwhile) {
  std::vector<StoreFaults> troubles(3);
  troubles[0].snapshot_refused = 1;
  troubles[1].conflict = 1;
  troubles[2].unknown_lost = 1;
  int entity = 0;
  for (const auto& trouble : troubles) {
    // Passing, and longer than the lease where nobody else is there to take the lock.
    for (const Duration span : {Duration(500ms), Duration(20s)}) {
      std::shared_ptr<FaultyBackend> faults;
      const Store store = co_await world.open_faulty(faults);
      auto workshop = std::make_shared<Workshop>();
      auto& server = *world.process(store);
      server.host().serve(workshop);
      must(co_await server.run(server.host().start()));
      auto shop = world.ref<Workshop>(std::to_string(++entity));
      const auto locking = Workshop::work("w");
      must(co_await shop.cast(locking));
      co_await world.eventually([&] { return workshop->entered == 1; });
      faults->set_faults(trouble);
      workshop->door_is_open = true;
      must(co_await sleep_for(world.clock(), span));
      faults->calm();
      co_await world.until_processed(shop.untyped());
      EXPECT_EQ(workshop->entered.load(), 1) << "the work was done again, entity " << entity;
      EXPECT_EQ(must(co_await shop.call(Workshop::Lines{})), list("begin w", "host did w"));
      must(co_await server.run(server.host().stop()));
    }
  }
  co_await world.until_clean();
}

SERVER_TEST(FrozenLocks, a_late_result_of_a_holder_that_slept_past_its_lease_is_refused) {
  auto holder = std::make_shared<Workshop>("holder");
  auto& sleepy = *co_await world.serve(holder);
  auto shop = world.ref<Workshop>("w");
  const auto locking = Workshop::work("w");
  must(co_await shop.cast(locking));
  co_await world.eventually([&] { return holder->entered == 1; });
  sleepy.freeze();
  auto heir = std::make_shared<Workshop>("heir");
  co_await world.serve(heir);
  co_await world.eventually([&] { return heir->entered == 1; });
  holder->door_is_open = true;
  sleepy.thaw();
  co_await world.eventually([&] {
    const auto log = world.logged();
    return std::any_of(log.begin(), log.end(), [](const std::string& line) {
      return line.find("the locked result was not written") != std::string::npos;
    });
  });
  EXPECT_TRUE((co_await world.look(shop)).lock.has_value()) << "the heir holds it still";
  heir->door_is_open = true;
  co_await world.until_processed(shop.untyped());
  EXPECT_EQ(must(co_await shop.call(Workshop::Lines{})), list("begin w", "heir did w"));
  co_await world.until_clean();
}

SERVER_TEST(FrozenLocks, a_host_whose_locked_task_outlasts_its_patience_says_so_and_loses_nothing) {
  auto options = quick_options();
  options.stop_patience = 30s;
  auto workshop = std::make_shared<Workshop>();
  auto& server = *co_await world.serve(workshop, options);
  auto shop = world.ref<Workshop>("w");
  const auto locking = Workshop::work("w");
  must(co_await shop.cast(locking));
  co_await world.eventually([&] { return workshop->entered == 1; });
  const MonotonicTime asked = world.clock().now();
  const Error error = must_fail(co_await server.run(server.host().stop()));
  EXPECT_EQ(error.kind(), ErrorKind::timeout);
  EXPECT_NE(error.message().find("stop_patience"), std::string::npos);
  EXPECT_GE(world.clock().now() - asked, Duration(30s));
  EXPECT_TRUE((co_await world.look(shop)).lock.has_value())
      << "it runs on, and its lock is renewed";
  workshop->door_is_open = true;
  must(co_await server.run(server.host().close()));
  const auto view = co_await world.look(shop);
  EXPECT_FALSE(view.lock.has_value());
  EXPECT_EQ(decode<Lines>(*view.state).value(), list("begin w", "host did w"));
}

// Blocks its thread.
struct Blocker {
  using State = std::vector<std::string>;
  struct Work {};
  struct Lines {
    using Reply = std::vector<std::string>;
  };
  using Messages = semper::Messages<Work, Lines>;
  Result<State> init(const EntityId&) { return State(); }
  Outcome handle_cast(const Work&, State&, Context&) { return lock(); }
  void handle_locked(const Work&, State& s, LockedContext&) {
    ++runs;
    entered = true;
    door_is_open.wait(false);
    s.push_back(name);
  }
  Reply<std::vector<std::string>> handle_call(const Lines&, State& s, Context&) { return s; }

  explicit Blocker(std::string whose) : name(std::move(whose)) {}
  const std::string name;
  void open_door() {
    door_is_open = true;
    door_is_open.notify_all();
  }
  std::atomic<int> runs{0};
  std::atomic<bool> entered{false};
  std::atomic<bool> door_is_open{false};
};

// How often the holder has renewed the lock.
Task<std::uint64_t> renewals_of(World& world, const EntityId& id) {
  const auto rows = co_await world.rows(KeyRange::point(entity_key(id, 4)));
  co_return rows.empty() ? 0 : load_little_endian_u64(BytesView(rows.front().value).substr(0, 8));
}

SERVER_TEST(BlockedLocks, a_holder_that_blocks_its_thread_keeps_its_lock_and_holds_up_nobody) {
  // Hosts with threads of their own, one for callbacks.
  const Store first_store = co_await world.open();
  const Store second_store = co_await world.open();
  auto holder = std::make_shared<Blocker>("holder");
  auto other = std::make_shared<Blocker>("other");
  Host first(first_store, quick_options());
  Host second(second_store, quick_options());
  struct OpenDoors {
    ~OpenDoors() {
      for (auto& blocker : blockers) blocker->open_door();
    }
    std::vector<std::shared_ptr<Blocker>> blockers;
  } at_the_end;
  at_the_end.blockers.push_back(holder);
  at_the_end.blockers.push_back(other);
  first.serve(holder);
  first.serve<Counter>();
  must(co_await first.start());
  auto shop = world.ref<Blocker>("w");
  must(co_await shop.cast(Blocker::Work{}));
  co_await world.eventually([&] { return holder->entered.load(); });
  second.serve(other);
  must(co_await second.start());
  must(co_await ref<Blocker>(second_store, "w").cast(Blocker::Work{}));  // finds the lock
  // Two leases.
  const auto before = co_await renewals_of(world, shop.entity());
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await renewals_of(world, shop.entity()) >= before + 6; });
  EXPECT_FALSE(other->entered.load());
  EXPECT_EQ(second.statistics().takeovers, 0u);
  CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await world.ref<Counter>("c").call(Counter::Add{1}, patient)), 1)
      << "the same host, another entity";
  holder->open_door();
  other->open_door();
  co_await world.until_processed(shop.untyped());
  EXPECT_EQ(holder->runs + other->runs, 2) << "once for each message";
  co_await world.until_clean();
}

SERVER_TEST(BlockedLocks, a_late_result_of_a_holder_whose_renewals_were_blocked_is_refused) {
  auto holder = std::make_shared<Blocker>("holder");
  auto& blocked = *co_await world.serve(holder);
  auto shop = world.ref<Blocker>("w");
  must(co_await shop.cast(Blocker::Work{}));
  co_await world.eventually([&] { return holder->entered.load(); });
  auto heir = std::make_shared<Blocker>("heir");
  auto& second = *co_await world.serve(heir);
  co_await world.eventually([&] { return heir->entered.load(); });
  EXPECT_EQ(second.host().statistics().takeovers, 1u);
  holder->door_is_open = true;
  holder->door_is_open.notify_all();
  co_await world.eventually([&] {
    const auto log = world.logged();
    return std::any_of(log.begin(), log.end(), [](const std::string& line) {
      return line.find("the locked result was not written") != std::string::npos;
    });
  });
  heir->door_is_open = true;
  heir->door_is_open.notify_all();
  co_await world.until_processed(shop.untyped());
  EXPECT_EQ(must(co_await shop.call(Blocker::Lines{})), list("heir"));
  static_cast<void>(blocked);
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
