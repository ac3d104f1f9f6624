// Repeating timers and schedules: what is missed, other calendars, zones, pauses, and the list of
// what is due.
#include <algorithm>
#include <functional>
#include <iterator>

#include "watchman.h"

namespace semper::testing {
namespace {

SERVER_SUITE(TimerSchedules);
SERVER_SUITE_ON(SimulatedSchedules, worlds_in(TimeKind::simulated));

SERVER_TEST(SimulatedSchedules, ticks_missed_while_no_host_ran_come_as_one_that_counts_them) {
  Process* server = co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto set = every("t", 1'000);
  must(co_await ref.call(set));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  server->kill();
  must(co_await sleep_for(world.clock(), 10min));
  co_await world.serve<Watchman>();
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") >= 3; });
  auto seen = co_await seen_by(world, "w");
  EXPECT_LE(seen.size(), 5u);
  EXPECT_GT(seen[1].missed, 590u);
  EXPECT_EQ(seen[1].number, seen[0].number + 1 + seen[1].missed);
  EXPECT_EQ((seen[2].nominal_ms - seen[0].nominal_ms) % 1'000, 0);
}

SERVER_TEST(SimulatedSchedules,
            hosts_with_other_calendars_send_each_tick_of_a_repeating_timer_once) {
  co_await world.serve<Watchman>(std::make_shared<Watchman>(), quick_options(), {}, 3s);
  co_await world.serve<Watchman>(std::make_shared<Watchman>(), quick_options(), {}, -3s);
  co_await world.serve<Watchman>();
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.push_back("w" + std::to_string(i));
  for (const auto& id : ids) {
    const auto set = every("t", 500, 6);
    must(co_await world.ref<Watchman>(id).call(set));
  }
  for (const auto& id : ids) {
    co_await world.eventually([&]() -> Task<bool> {
      auto timers = co_await timers_of(world, id);
      co_return timers.empty();
    });
    auto seen = co_await seen_by(world, id);
    std::uint64_t number = 0;
    for (const auto& tick : seen) {
      EXPECT_EQ(tick.number, number + tick.missed + 1) << id;
      number = tick.number;
    }
    EXPECT_EQ(seen.size(), 6u) << id;
  }
}

SERVER_TEST(TimerSchedules, a_schedule_that_is_none_is_refused_in_words) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto bad = cron("t", "61 * * * *");
  const Error refused = must_fail(co_await ref.call(bad));
  EXPECT_EQ(refused.kind(), ErrorKind::invalid_argument);
  EXPECT_NE(refused.message().find("minute \"61\""), std::string::npos) << refused.message();
  auto nowhere = cron("t", "@daily");
  nowhere.zone = "Europe/Atlantis";
  const Error unknown = must_fail(co_await ref.call(nowhere));
  EXPECT_NE(unknown.message().find("Europe/Atlantis"), std::string::npos) << unknown.message();
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(SimulatedSchedules, hosts_with_other_calendars_send_each_tick_of_a_schedule_once) {
  co_await world.serve<Watchman>(std::make_shared<Watchman>(), quick_options(), {}, 3s);
  co_await world.serve<Watchman>(std::make_shared<Watchman>(), quick_options(), {}, -3s);
  co_await world.serve<Watchman>();
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.push_back("w" + std::to_string(i));
  for (const auto& id : ids) {
    const auto set = cron("t", "*/2 * * * * *", 4);
    must(co_await world.ref<Watchman>(id).call(set));
  }
  for (const auto& id : ids) {
    co_await world.eventually([&]() -> Task<bool> {
      auto timers = co_await timers_of(world, id);
      co_return timers.empty();
    });
    auto seen = co_await seen_by(world, id);
    EXPECT_EQ(seen.size(), 4u) << id;
    std::uint64_t number = 0;
    std::int64_t first = 0;
    for (const auto& tick : seen) {
      EXPECT_EQ(tick.number, number + tick.missed + 1) << id;
      number = tick.number;
      EXPECT_EQ(tick.nominal_ms % 2'000, 0) << id;
      if (first == 0) first = tick.nominal_ms - 2'000 * static_cast<std::int64_t>(number);
      EXPECT_EQ(tick.nominal_ms, first + 2'000 * static_cast<std::int64_t>(number)) << id;
    }
  }
}

SERVER_TEST(SimulatedSchedules, a_schedule_keeps_its_zone_and_its_next_time) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  auto set = cron("t", "30 2 * * *", 7);
  set.jitter_ms = 60'000;
  must(co_await ref.call(set));
  auto timers = co_await timers_of(world, "w");
  EXPECT_EQ(timers.size(), 1u);
  EXPECT_EQ(timers[0].kind, TimerView::Kind::cron);
  const auto shown = timers[0].cron.value_or(CronOptions());
  EXPECT_EQ(shown.schedule, "30 2 * * *");
  EXPECT_EQ(shown.zone, "Europe/Berlin");
  EXPECT_EQ(shown.max_count, 7u);
  EXPECT_EQ(shown.jitter, 60s);
  const auto next = must(next_cron_time(shown, world.clock().wall_time()));
  EXPECT_GE(*timers[0].due, *next);
  EXPECT_LE(*timers[0].due, *next + 60s);
  must(co_await sleep_for(world.clock(), 10ms));
  must(co_await ref.call(set));
  auto again = co_await timers_of(world, "w");
  EXPECT_EQ(again[0].due, timers[0].due) << "the same spec keeps what was drawn";
}

// The row of an entity's only timer, as another program would have written it.
Task<void> fire_behind(World& world, std::string id, std::function<void(Bytes&)> change) {
  auto ref = world.ref<Watchman>(id);
  const auto beyond = cron("beyond", "*/10 * * * * *");
  must(co_await ref.call(beyond));
  const auto range = entity_range(ref.entity(), 13);
  const auto stored = co_await world.rows(range);
  EXPECT_EQ(stored.size(), 1u);
  Bytes changed = stored.front().value;
  change(changed);
  co_await world.put(stored.front().key, changed);
  const auto good = after("good", 12'000);
  must(co_await ref.call(good));
  // Long enough, and cheap where it does not come.
  must(co_await sleep_for(world.clock(), 2min));
  auto seen = co_await seen_by(world, id);
  EXPECT_EQ(seen.size(), 1u);
  if (seen.empty()) co_return;
  EXPECT_EQ(seen[0].timer, "good");
  // Here again is a program that knows it: nothing is lost.
  co_await world.put(stored.front().key, stored.front().value);
  co_await world.eventually([&]() -> Task<bool> { co_return co_await count_seen(world, id) >= 2; });
  seen = co_await seen_by(world, id);
  EXPECT_EQ(seen[1].timer, "beyond");
  must(co_await ref.kill());
}

SERVER_TEST(SimulatedSchedules,
            a_timer_that_is_beyond_a_host_stops_no_other_of_its_shard_and_is_not_lost) {
  co_await world.serve<Watchman>();
  co_await fire_behind(world, "newer", [](Bytes& row) { row[Versionstamp::size + 1] = 9; });
  co_await fire_behind(world, "elsewhere", [](Bytes& row) {
    row.replace(row.find("Europe/Berlin"), 13, "Europe/Brrrrr");
  });
}

SERVER_TEST(SimulatedSchedules, a_paused_timer_sends_no_tick_and_makes_up_for_none) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto set = every("t", 1'000);
  must(co_await ref.call(set));
  co_await set_paused(world, "w", "t", true);
  auto timers = co_await timers_of(world, "w");
  EXPECT_TRUE(timers.size() == 1 && timers[0].is_paused && !timers[0].due);
  must(co_await sleep_for(world.clock(), 10min));
  EXPECT_EQ(co_await count_seen(world, "w"), 0u);
  must(co_await ref.call(set));  // does not resume it
  co_await set_paused(world, "w", "t", false);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") >= 2; });
  auto seen = co_await seen_by(world, "w");
  EXPECT_GE(seen[0].missed, 599u);
  EXPECT_EQ(seen[0].number, seen[0].missed + 1);
  EXPECT_EQ(seen[1].number, seen[0].number + seen[1].missed + 1);
  EXPECT_EQ((seen[1].nominal_ms - seen[0].nominal_ms) % 1'000, 0);
  EXPECT_LT(seen[0].handled_ms - seen[0].nominal_ms, 900'000);
}

SERVER_TEST(TimerSchedules, a_triggered_timer_fires_and_keeps_its_schedule) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const Tenant tenant(world.store());
  const auto set = every("t", 3'600'000);
  must(co_await ref.call(set));
  auto before = co_await timers_of(world, "w");
  must(co_await trigger_timer(tenant, ref.entity(), "t"));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  co_await world.until_processed(ref.untyped());
  auto seen = co_await seen_by(world, "w");
  EXPECT_EQ(seen[0].timer, "t");
  EXPECT_EQ(seen[0].number, 0u);
  auto timers = co_await timers_of(world, "w");
  EXPECT_EQ(timers.size(), 1u);
  EXPECT_EQ(timers[0].due, before[0].due);
  // Of a paused one, too, and one of a single tick is over with it.
  must(co_await pause_timer(tenant, ref.entity(), "t"));
  must(co_await trigger_timer(tenant, ref.entity(), "t"));
  const auto once = after("once", 3'600'000);
  must(co_await ref.call(once));
  must(co_await trigger_timer(tenant, ref.entity(), "once"));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 3; });
  timers = co_await timers_of(world, "w");
  EXPECT_EQ(timers.size(), 1u);
  EXPECT_TRUE(timers[0].is_paused);
  auto none = must_fail(co_await pause_timer(tenant, ref.entity(), "no such"));
  EXPECT_EQ(none.kind(), ErrorKind::not_found);
  none = must_fail(co_await resume_timer(tenant, ref.entity(), "no such"));
  EXPECT_EQ(none.kind(), ErrorKind::not_found);
  must(co_await ref.kill());
  const auto gone = must_fail(co_await trigger_timer(tenant, ref.entity(), "t"));
  EXPECT_EQ(gone.kind(), ErrorKind::not_found);
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(SimulatedSchedules, the_list_of_what_is_due_is_complete_and_in_order) {
  co_await world.serve<Watchman>();
  const Tenant tenant(world.store());
  const std::string type(type_name<Watchman>());
  for (int i = 0; i < 30; ++i) {
    const auto set = after("t" + std::to_string(i % 3), 600'000 + 60'000 * ((i * 7) % 30));
    must(co_await world.ref<Watchman>("w" + std::to_string(i)).call(set));
  }
  std::vector<TimerView> all;
  DueListOptions page;
  page.limit = 7;
  while (true) {
    auto some = must(co_await list_due(tenant, type, page));
    if (some.empty()) break;
    page.after = DueListOptions::Place{*some.back().due, some.back().entity.id, some.back().name};
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
  EXPECT_EQ(all.size(), 30u);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(),
                             [](const auto& a, const auto& b) { return *a.due < *b.due; }));
  DueListOptions soon;
  soon.until = world.clock().wall_time() + 610s;
  auto first = must(co_await list_due(tenant, type, soon));
  EXPECT_EQ(first.size(), 1u);
  auto later = must(co_await list_due(tenant, type, DueListOptions()));
  EXPECT_EQ(later.size(), 30u);
}

}  // namespace
}  // namespace semper::testing
