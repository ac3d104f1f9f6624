// A fleet that is replaced host by host: what is slow, or fails for now, is nobody's death.
#include <atomic>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE_ON(Overlaps, worlds_in(TimeKind::simulated));

// Works for longer than it takes to replace the fleet; or fails, as often as it is tried.
struct LongWorker {
  using State = std::int64_t;
  struct Work {
    std::int64_t ms = 0;
  };
  struct Fail {};
  struct Lock {};        // until the lock is lost
  struct FailLocked {};  // each time
  using Messages = semper::Messages<Work, Fail, Lock, FailLocked>;

  explicit LongWorker(Clock& time) : clock(&time) {}
  Result<State> init(const EntityId&) { return 0; }
  Task<void> handle_cast(const Work& m, State& s, Context&) {
    const std::chrono::milliseconds length(m.ms);
    co_await sleep_for(*clock, length);
    ++s;
  }
  void handle_cast(const Fail&, State&, Context&) {
    ++failed;
    throw std::runtime_error("not today");
  }
  Outcome handle_cast(const Lock&, State&, Context&) { return lock(); }
  Task<void> handle_locked(const Lock&, State& s, LockedContext& context) {
    ++locked;
    while (!context.lost().stop_requested()) {
      const Duration step = 10ms;
      static_cast<void>(co_await sleep_for(*clock, step));
    }
    ++s;
  }
  Outcome handle_cast(const FailLocked&, State&, Context&) { return lock(); }
  void handle_locked(const FailLocked&, State&, LockedContext&) {
    ++failed;
    throw std::runtime_error("not today");
  }

  Clock* clock;
  std::atomic<int> failed{0};
  std::atomic<int> locked{0};
};

constexpr std::uint32_t kAnnouncementRows = 8;

SERVER_TEST(Overlaps, hosts_that_come_and_live_on_do_not_set_a_slow_message_aside) {
  constexpr int kEntities = 6;
  auto options = quick_options();
  options.message_attempts = 1;
  std::vector<Ref<LongWorker>> workers;
  for (int i = 0; i < kEntities; ++i) {
    workers.push_back(world.ref<LongWorker>(std::to_string(i)));
    const LongWorker::Work slow{2500};
    must(co_await workers.back().cast(slow));
  }
  const auto behaviour = std::make_shared<LongWorker>(world.clock());
  for (int hosts = 0; hosts < 24; ++hosts) {
    co_await world.serve(behaviour, options);
    must(co_await sleep_for(world.clock(), 100ms));
  }
  for (const auto& worker : workers) {
    co_await world.until_processed(worker.untyped());
    const auto view = co_await world.look(worker);
    EXPECT_EQ(view.dead_letters, 0u) << worker.entity().to_string();
    EXPECT_TRUE(view.state && *view.state == encode(std::int64_t{1}));
    const auto announcement = KeyRange::point(entity_key(worker.entity(), kAnnouncementRows));
    // Those who ran it in vain take theirs away when they find out.
    co_await world.eventually([&]() -> Task<bool> {
      const auto rows = co_await world.rows(announcement);
      co_return rows.empty();
    });
  }
}

SERVER_TEST(Overlaps, a_host_that_stops_takes_its_announcements_away) {
  auto worker = world.ref<LongWorker>("w");
  must(co_await worker.cast(LongWorker::Fail{}));
  const auto announcements = KeyRange::point(entity_key(worker.entity(), kAnnouncementRows));
  co_await world.serve<Counter>();  // somebody was there before: all that waits is suspected
  auto options = quick_options();
  options.message_backoff = {.initial = 1h, .maximum = 1h};
  const auto behaviour = std::make_shared<LongWorker>(world.clock());
  auto& server = *co_await world.serve(behaviour, options);
  co_await world.eventually([&] { return behaviour->failed > 0; });
  EXPECT_EQ((co_await world.rows(announcements)).size(), 1u);
  must(co_await server.run(server.host().stop()));
  EXPECT_TRUE((co_await world.rows(announcements)).empty());
  EXPECT_EQ(must(co_await worker.queue_length()), 1u);
}

// How long the host took to stop.
Task<Duration> time_to_stop(World& world, Process& server) {
  const auto began = world.clock().now();
  must(co_await server.run(server.host().stop()));
  co_return world.clock().now() - began;
}

SERVER_TEST(Overlaps, a_host_that_waits_for_anothers_lock_stops_at_once) {
  auto worker = world.ref<LongWorker>("w");
  auto options = quick_options();
  options.lock_lease = 1h;
  const auto behaviour = std::make_shared<LongWorker>(world.clock());
  auto& holder = *co_await world.serve(behaviour, options);
  must(co_await worker.cast(LongWorker::Lock{}));
  co_await world.eventually([&] { return behaviour->locked == 1; });
  auto& waiting = *co_await world.serve(behaviour, options);
  // It looks at the entity, whoever prefers it, and finds the lock.
  must(co_await waiting.ref<LongWorker>("w").cast(LongWorker::Work{}));
  must(co_await sleep_for(world.clock(), 1s));
  EXPECT_LE(co_await time_to_stop(world, waiting), 1s);
  EXPECT_LE(co_await time_to_stop(world, holder), 1s);
}

SERVER_TEST(Overlaps, a_host_whose_locked_message_fails_stops_at_once) {
  auto options = quick_options();
  options.message_backoff = {.initial = 1h, .maximum = 1h};
  const auto behaviour = std::make_shared<LongWorker>(world.clock());
  auto& server = *co_await world.serve(behaviour, options);
  auto worker = world.ref<LongWorker>("w");
  must(co_await worker.cast(LongWorker::FailLocked{}));
  co_await world.eventually([&] { return behaviour->failed > 0; });
  EXPECT_LE(co_await time_to_stop(world, server), 1s);
  EXPECT_EQ(must(co_await worker.queue_length()), 1u);
  EXPECT_EQ(behaviour->failed, 1);
}

}  // namespace
}  // namespace semper::testing
