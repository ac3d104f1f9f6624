// Leases: a host and a holder are judged by their own lease and by nobody's calendar.
#include <atomic>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE_ON(Leases, worlds_in(TimeKind::simulated));

Task<std::size_t> count_hosts(World& world) {
  co_return (co_await world.rows(host_space())).size();
}

// For so long, looking all the time.
Task<void> expect_hosts(World& world, std::size_t count, Duration span) {
  const auto until = world.clock().after(span);
  while (world.clock().now() < until) {
    const auto seen = co_await count_hosts(world);
    if (seen != count) {
      throw CaseFailure(std::to_string(seen) + " hosts are registered, not " +
                        std::to_string(count));
    }
    must(co_await sleep_for(world.clock(), 20ms));
  }
}

HostOptions with_host_lease(Duration lease) {
  HostOptions options = quick_options();
  options.host_lease = lease;
  return options;
}

SERVER_TEST(Leases, hosts_whose_calendars_differ_by_hours_and_years_live_together) {
  if (!world.is_steady()) co_return;  // there a renewal may come late
  for (const Duration ahead :
       {Duration(0h), Duration(5h), Duration(-5h), Duration(24h * 365 * 10)}) {
    co_await world.serve<Counter>(std::make_shared<Counter>(), quick_options(), {}, ahead);
  }
  co_await expect_hosts(world, 4, 60s);
  for (int i = 0; i < 40; ++i) {
    must(co_await world.ref<Counter>(std::to_string(i)).call(Counter::Add{1}));
  }
  co_await world.until_clean();
}

SERVER_TEST(Leases, a_host_is_missed_after_its_own_lease_and_not_after_that_of_another) {
  if (!world.is_steady()) co_return;
  auto& hasty = *co_await world.serve<Counter>(std::make_shared<Counter>(), with_host_lease(300ms));
  auto& calm = *co_await world.serve<Counter>(std::make_shared<Counter>(), with_host_lease(60s));
  co_await expect_hosts(world, 2, 3min);
  const auto start = world.clock().now();
  calm.kill();
  co_await world.eventually([&]() -> Task<bool> { co_return co_await count_hosts(world) == 1; });
  EXPECT_GT(world.clock().now() - start, 30s) << "it may have renewed 20 s before";
  EXPECT_LT(world.clock().now() - start, 70s);
  static_cast<void>(hasty);
}

SERVER_TEST(Leases, a_host_with_a_short_lease_is_missed_soon_by_one_with_a_long_one) {
  if (!world.is_steady()) co_return;
  co_await world.serve<Counter>(std::make_shared<Counter>(), with_host_lease(60s));
  auto& hasty = *co_await world.serve<Counter>(std::make_shared<Counter>(), with_host_lease(300ms));
  co_await expect_hosts(world, 2, 10s);
  hasty.kill();
  const auto start = world.clock().now();
  co_await world.eventually([&]() -> Task<bool> { co_return co_await count_hosts(world) == 1; });
  EXPECT_LT(world.clock().now() - start, 1s);
}

SERVER_TEST(Leases, rows_of_hosts_of_0_1_0_live_while_they_are_renewed_and_go_when_they_are_not) {
  if (!world.is_steady()) co_return;
  co_await world.serve<Counter>();
  const std::vector<std::string> types = {std::string(type_name<Counter>())};
  // Its calendar is years behind: by that alone it would be dead.
  for (std::uint64_t renewals = 1; renewals <= 60; ++renewals) {
    co_await world.put(host_row_key("old"), alive_row_of_0_1_0("old", renewals, 1, types));
    co_await expect_hosts(world, 2, 1s);
  }
  const auto start = world.clock().now();
  co_await world.eventually([&]() -> Task<bool> { co_return co_await count_hosts(world) == 1; });
  EXPECT_LT(world.clock().now() - start, 10s);
}

SERVER_TEST(Leases, start_may_be_called_at_any_time_and_again) {
  auto& server = *co_await world.process();
  server.host().serve<Counter>();
  co_await world.in_parallel(20, [&](int) -> Task<void> {
    must(co_await server.run(server.host().start()));
    EXPECT_EQ(must(co_await list_types(world.store())).size(), 1u) << "started, and not registered";
    EXPECT_EQ(co_await count_hosts(world), 1u);
  });
  must(co_await server.run(server.host().start()));
  must(co_await server.run(server.host().stop()));
  EXPECT_EQ(co_await count_hosts(world), 0u);
}

// Locked until the door is open.
struct Patient {
  using State = std::int64_t;
  struct Go {};
  using Messages = semper::Messages<Go>;
  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Go&, State&, Context&) { return lock(); }
  Task<Outcome> handle_locked(const Go&, State& s, LockedContext& context) {
    ++entered;
    while (!door_is_open) static_cast<void>(co_await sleep_for(context.clock(), 50ms));
    ++s;
    co_return Outcome();
  }
  std::atomic<int> entered{0};
  std::atomic<bool> door_is_open{false};
};

HostOptions with_lock_lease(Duration lease) {
  HostOptions options = quick_options();
  options.lock_lease = lease;
  return options;
}

// A holder with one lease, and a host with another one that waits for it. Gives the time from the
// holder's death until the other one has taken the lock over.
Task<Duration> take_over_after(World& world, Duration holders, Duration others,
                               std::function<Task<void>(const Ref<Patient>&)> before_death) {
  auto first = std::make_shared<Patient>();
  auto& holder = *co_await world.serve(first, with_lock_lease(holders), {}, 3h);
  auto patient = world.ref<Patient>("p");
  must(co_await patient.cast(Patient::Go{}));
  co_await world.eventually([&] { return first->entered == 1; });
  auto second = std::make_shared<Patient>();
  auto& other = *co_await world.serve(second, with_lock_lease(others));
  must(co_await other.ref<Patient>("p").cast(Patient::Go{}));  // it looks, finds the lock and waits
  must(co_await sleep_for(world.clock(), 3min));
  EXPECT_EQ(second->entered, 0) << "the holder lives";
  const auto death = world.clock().now();
  holder.kill();
  co_await before_death(patient);
  co_await world.eventually([&] { return second->entered == 1; });
  const Duration took = world.clock().now() - death;
  second->door_is_open = true;
  co_await world.until_processed(patient.untyped());
  co_return took;
}

SERVER_TEST(Leases, a_lock_is_taken_over_after_its_holders_lease_and_not_after_that_of_another) {
  if (!world.is_steady()) co_return;
  auto nothing = [](const Ref<Patient>&) -> Task<void> { co_return; };
  const Duration calm = co_await take_over_after(world, 60s, 1s, nothing);
  EXPECT_GT(calm, 30s);
  EXPECT_LT(calm, 70s);
}

SERVER_TEST(Leases, a_lock_with_a_short_lease_is_taken_over_soon_by_a_host_with_a_long_one) {
  if (!world.is_steady()) co_return;
  auto nothing = [](const Ref<Patient>&) -> Task<void> { co_return; };
  const Duration hasty = co_await take_over_after(world, 1s, 60s, nothing);
  EXPECT_LT(hasty, 3s);
}

SERVER_TEST(Leases, a_lock_of_0_1_0_is_taken_over_too) {
  if (!world.is_steady()) co_return;
  // It counted renewals and said no lease.
  auto of_0_1_0 = [&](const Ref<Patient>& patient) -> Task<void> {
    Bytes counter;
    append_little_endian_u64(counter, 7);
    co_await world.put(entity_key(patient.entity(), 4), counter);
  };
  const Duration took = co_await take_over_after(world, 1s, 1s, of_0_1_0);
  EXPECT_GT(took, 3s) << "its lease was 5 s, or somebody set another one";
  EXPECT_LT(took, 10s);
}

}  // namespace
}  // namespace semper::testing
