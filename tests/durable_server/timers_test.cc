// Durable timers: each due time becomes one message, whoever hosts the entity, and none of a timer
// that was cancelled.
#include <algorithm>

#include "watchman.h"

namespace semper::testing {
namespace {

SERVER_SUITE(DurableTimers);
SERVER_SUITE_ON(SimulatedTimers, worlds_in(TimeKind::simulated));

SERVER_TEST(DurableTimers, a_timer_comes_once_and_not_before_its_time) {
  co_await world.serve<Watchman>();
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto set = after("once", 60);
  must(co_await ref.call(set));
  auto timers = co_await timers_of(world, "w");
  EXPECT_EQ(timers.size(), 1u);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  const auto second = after("another", 30);
  must(co_await ref.call(second));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") >= 2; });
  auto seen = co_await seen_by(world, "w");
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].timer, "once");
  EXPECT_EQ(seen[0].number, 1u);
  EXPECT_GE(seen[0].handled_ms, seen[0].nominal_ms);
  EXPECT_EQ(seen[1].timer, "another");
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(DurableTimers, a_repeating_timer_sends_its_ticks_in_order_and_ends) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto set = every("beat", 20, 4);
  must(co_await ref.call(set));
  co_await world.eventually([&]() -> Task<bool> {
    auto timers = co_await timers_of(world, "w");
    co_return timers.empty();
  });
  auto seen = co_await seen_by(world, "w");
  EXPECT_EQ(seen.size(), 4u);
  std::uint64_t number = 0;
  for (const auto& tick : seen) {
    EXPECT_EQ(tick.number, number + tick.missed + 1);
    EXPECT_EQ((tick.nominal_ms - seen[0].nominal_ms) % 20, 0) << "the anchor has moved";
    number = tick.number;
  }
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(DurableTimers, a_delayed_cast_of_a_process_without_a_host_is_delivered) {
  auto ref = world.ref<Watchman>("w");
  const Watchman::Ring ring;
  must(co_await ref.cast_after(10ms, ring));
  must(co_await ref.cast_at<Watchman::Ring>(WallTime()));
  auto timers = co_await timers_of(world, "w");
  EXPECT_EQ(timers.size(), 2u);
  co_await world.serve<Watchman>();
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 2; });
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(DurableTimers, a_timer_that_is_set_again_moves_only_with_another_spec) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto hour = after("t", 3'600'000);
  must(co_await ref.call(hour));
  auto first = co_await timers_of(world, "w");
  must(co_await sleep_for(world.clock(), 5ms));
  must(co_await ref.call(hour));
  auto again = co_await timers_of(world, "w");
  EXPECT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].due, first[0].due) << "the same spec keeps its anchor";
  const auto soon = after("t", 10);
  must(co_await ref.call(soon));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(DurableTimers, a_timer_that_sets_itself_again_comes_again) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  Watchman::Ring ring;
  ring.sets_itself = true;
  const auto set = after("t", 10, ring);
  must(co_await ref.call(set));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 3; });
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(DurableTimers, a_kill_deletes_timers) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto far = every("far", 3'600'000);
  const auto near = after("near", 40);
  must(co_await ref.call(far));
  must(co_await ref.call(near));
  must(co_await ref.kill());
  co_await expect_no_timers(world, "w");
  const auto fresh = after("fresh", 60);
  must(co_await ref.call(fresh));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") >= 1; });
  auto seen = co_await seen_by(world, "w");
  EXPECT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].timer, "fresh");
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(DurableTimers, a_reset_keeps_timers) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto set = after("t", 3'600'000);
  must(co_await ref.call(set));
  auto before = co_await timers_of(world, "w");
  must(co_await ref.reset());
  auto left = co_await timers_of(world, "w");
  EXPECT_EQ(left.size(), 1u);
  EXPECT_TRUE(left.size() != 1 || left[0].due == before[0].due);
  const auto soon = after("t", 10);
  must(co_await ref.call(soon));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
}

SERVER_TEST(DurableTimers, an_info_can_set_a_timer) {
  Process* server = co_await world.serve<Watchman>();
  auto ref = server->ref<Watchman>("w");
  const auto set = after("t", 10);
  must(co_await ref.info(set));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
}

SERVER_TEST(SimulatedTimers, timers_past_the_bound_of_an_entity_are_refused) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const Watchman::Fill all{kTimersPerEntity};
  must(co_await ref.call(all));
  const auto one_more = after("one more", 10);
  const Error refused = must_fail(co_await ref.call(one_more));
  EXPECT_EQ(refused.kind(), ErrorKind::exhausted);
  const Watchman::Ring ring;
  const Error from_outside = must_fail(co_await ref.cast_after(1s, ring));
  EXPECT_EQ(from_outside.kind(), ErrorKind::exhausted);
  const auto stop = cancel("t0");
  must(co_await ref.call(stop));
  must(co_await ref.call(one_more));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  must(co_await ref.kill());
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(SimulatedTimers, a_row_that_cannot_be_read_stops_no_other_of_its_shard) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto bad = after("bad", 5'000);
  must(co_await ref.call(bad));
  auto stored = co_await world.rows(entity_range(ref.entity(), 13));
  EXPECT_EQ(stored.size(), 1u);
  co_await world.put(stored.front().key, "damaged");
  const auto good = after("good", 6'000);
  must(co_await ref.call(good));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  const auto logged = world.logged();
  EXPECT_TRUE(std::any_of(logged.begin(), logged.end(), [](const std::string& line) {
    return line.find("timer bad is left alone") != std::string::npos;
  }));
  const auto listed = co_await list_timers(Tenant(world.store()), ref.entity());
  EXPECT_TRUE(must(listed).empty()) << "it is passed over, with a line in the log";
  must(co_await cancel_timer(Tenant(world.store()), ref.entity(), "bad"));
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(SimulatedTimers, a_host_that_waits_for_a_timer_notices_a_sooner_one) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto far = after("far", 3'600'000);
  must(co_await ref.call(far));
  must(co_await sleep_for(world.clock(), 2s));
  const MonotonicTime began = world.clock().now();
  const auto near = after("near", 100);
  must(co_await ref.call(near));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  EXPECT_LT(world.clock().now() - began, world.is_steady() ? Duration(1s) : Duration(40s));
}

}  // namespace
}  // namespace semper::testing
