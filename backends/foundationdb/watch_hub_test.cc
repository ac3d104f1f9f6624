// Watches: shared, counted, looked at where FoundationDB cannot watch, and never lost.
#include "watch_hub.h"

#include "fdb_world_test_support.h"
#include "semper/testing/simulated_clock.h"
#include "snapshot.h"

namespace semper::foundationdb {
namespace {

std::unique_ptr<Watch> watch_on(Backend& backend, const Bytes& key) {
  auto snapshot = wait_for(backend.snapshot());
  if (!snapshot) throw std::runtime_error(snapshot.error().to_string());
  auto watch = wait_for(backend.watch(key, **snapshot));
  if (!watch) throw std::runtime_error(watch.error().to_string());
  return std::move(*watch);
}

bool fires(Watch& watch) {
  return wait_for(watch.changed(system_clock().after(std::chrono::seconds(30)))).has_value();
}

bool is_quiet(Watch& watch) {
  const auto waited = wait_for(watch.changed(system_clock().now()));
  return !waited && waited.error().kind() == ErrorKind::timeout;
}

TEST(FoundationDbWatch, many_watches_on_a_key_are_one_of_foundationdbs) {
  FdbWorld world;
  auto backend = world.backend();
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 100; ++i) watches.push_back(watch_on(*backend, "key"));
  ASSERT_TRUE(FdbWorld::eventually([&] { return world.fdb().watches() == 1; }));
  EXPECT_EQ(figure(*backend, "watches"), 100);
  EXPECT_EQ(figure(*backend, "watches_armed"), 1);
  ASSERT_TRUE(put(world.store(), "key", "changed"));
  for (auto& watch : watches) EXPECT_TRUE(fires(*watch));
  EXPECT_EQ(figure(*backend, "watches"), 0);
}

TEST(FoundationDbWatch, one_that_gets_no_thread_is_refused_and_the_next_one_is_kept) {
  FdbWorld world;
  auto backend = world.backend();
  auto snapshot = wait_for(backend->snapshot());
  ASSERT_TRUE(snapshot);
  ASSERT_TRUE(wait_for((*snapshot)->get("key")));
  {
    const NoThreads none;
    const auto refused = wait_for(backend->watch("key", **snapshot));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted) << refused.error().to_string();
  }
  auto watch = wait_for(backend->watch("key", **snapshot));
  ASSERT_TRUE(watch) << watch.error().to_string();
  ASSERT_TRUE(put(world.store(), "key", "changed"));
  EXPECT_TRUE(fires(**watch));
}

TEST(FoundationDbWatch, a_dropped_watch_is_taken_back_from_the_cluster) {
  FdbWorld world;
  auto backend = world.backend();
  auto first = watch_on(*backend, "key");
  auto second = watch_on(*backend, "key");
  ASSERT_TRUE(FdbWorld::eventually([&] { return world.fdb().watches() == 1; }));
  first.reset();
  EXPECT_EQ(world.fdb().watches(), 1u);
  second.reset();
  EXPECT_TRUE(FdbWorld::eventually([&] { return world.fdb().watches() == 0; }));
  EXPECT_TRUE(FdbWorld::eventually([&] { return figure(*backend, "watches_armed") == 0; }));
}

TEST(FoundationDbWatch, a_newer_snapshot_with_another_value_fires_the_older_watch) {
  FdbWorld world;
  auto backend = world.backend();
  ASSERT_TRUE(put(world.store(), "key", "1"));
  world.fdb().hold(Call::commit);  // nothing is armed
  auto older = watch_on(*backend, "key");
  EXPECT_TRUE(is_quiet(*older));
  ASSERT_TRUE(FdbWorld::eventually([&] { return world.fdb().is_held(Call::commit); }));
  world.fdb().release();
  ASSERT_TRUE(put(world.store(), "key", "2"));
  auto newer = watch_on(*backend, "key");
  EXPECT_TRUE(fires(*older));
  EXPECT_TRUE(is_quiet(*newer));
  ASSERT_TRUE(put(world.store(), "key", "3"));
  EXPECT_TRUE(fires(*newer));
}

TEST(FoundationDbWatch, a_change_between_the_snapshot_and_the_watch_fires) {
  FdbWorld world;
  auto backend = world.backend();
  ASSERT_TRUE(put(world.store(), "key", "1"));
  auto snapshot = wait_for(backend->snapshot());
  ASSERT_TRUE(snapshot);
  ASSERT_TRUE(wait_for((*snapshot)->get("key")));
  ASSERT_TRUE(put(world.store(), "key", "2"));
  auto watch = wait_for(backend->watch("key", **snapshot));
  ASSERT_TRUE(watch);
  EXPECT_TRUE(wait_for((*watch)->changed(system_clock().after(std::chrono::seconds(5)))));
}

TEST(FoundationDbWatch, an_older_snapshot_than_the_one_that_is_watched_fires_at_once) {
  FdbWorld world;
  auto backend = world.backend();
  auto before = wait_for(backend->snapshot());
  ASSERT_TRUE(before);
  ASSERT_TRUE(put(world.store(), "key", "1"));
  auto present = watch_on(*backend, "key");
  auto late = wait_for(backend->watch("key", **before));
  ASSERT_TRUE(late);
  EXPECT_TRUE(fires(**late));
  EXPECT_TRUE(is_quiet(*present));
}

TEST(FoundationDbWatch, a_watch_that_the_cluster_gives_up_is_armed_again) {
  FdbWorld world;
  auto backend = world.backend();
  auto watch = watch_on(*backend, "key");
  for (const auto code : {code::kClusterVersionChanged, code::kWatchCancelled, code::kTimedOut}) {
    ASSERT_TRUE(FdbWorld::eventually([&] { return world.fdb().watches() == 1; }));
    const auto looks = figure(*backend, "watch_looks");
    world.fdb().fail_watches(code);
    ASSERT_TRUE(FdbWorld::eventually([&] { return figure(*backend, "watch_looks") > looks; }));
    EXPECT_TRUE(is_quiet(*watch));
  }
  ASSERT_TRUE(FdbWorld::eventually([&] { return world.fdb().watches() == 1; }));
  ASSERT_TRUE(put(world.store(), "key", "changed"));
  EXPECT_TRUE(fires(*watch));
}

TEST(FoundationDbWatch, a_change_while_the_cluster_has_given_it_up_is_not_lost) {
  testing::SimulatedClock clock;
  FdbWorld world;
  auto backend = world.backend({.clock = &clock});
  auto watch = watch_on(*backend, "key");
  ASSERT_TRUE(FdbWorld::eventually([&] { return world.fdb().watches() == 1; }));
  world.fdb().fail_watches(code::kWatchCancelled);
  ASSERT_TRUE(FdbWorld::eventually([&] { return figure(*backend, "watches_armed") == 0; }));
  const Store writer(backend, {.clock = &clock});
  ASSERT_TRUE(put(writer, "key", "changed"));
  EXPECT_TRUE(FdbWorld::eventually([&] {
    clock.advance(kWatchBackoff.maximum);
    return !is_quiet(*watch);
  }));
}

TEST(FoundationDbWatch, keys_beyond_foundationdbs_limit_are_polled) {
  testing::SimulatedClock clock;
  FdbWorld world;
  auto connection = world.connection({.clock = &clock});
  auto hub = std::make_shared<WatchHub>(connection, WatchHub::Bounds{.armed = 2});
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 5; ++i) {
    auto added = hub->add("key" + std::to_string(i), {0, ValuePrint()});
    ASSERT_TRUE(added) << added.error().to_string();
    watches.push_back(std::move(*added));
  }
  ASSERT_TRUE(FdbWorld::eventually([&] { return world.fdb().watches() == 2; }));
  EXPECT_EQ(connection->statistics.watches_armed, 2);
  ASSERT_TRUE(put(world.store(), "key3", "changed"));
  EXPECT_TRUE(FdbWorld::eventually([&] {
    clock.advance(kLookInterval);
    const auto waited = wait_for(watches[3]->changed(clock.now()));
    return waited.has_value();
  }));
  EXPECT_FALSE(wait_for(watches[4]->changed(clock.now())).has_value());
  hub->close();
}

TEST(FoundationDbWatch, keys_are_polled_too_where_the_cluster_refuses_more_watches) {
  testing::SimulatedClock clock;
  FdbWorld world;
  world.fdb().set_watches_maximum(0);
  auto backend = world.backend({.clock = &clock});
  auto watch = watch_on(*backend, "key");
  const Store writer(backend, {.clock = &clock});
  ASSERT_TRUE(put(writer, "key", "changed"));
  EXPECT_TRUE(FdbWorld::eventually([&] {
    clock.advance(kLookInterval);
    return wait_for(watch->changed(clock.now())).has_value();
  }));
}

TEST(FoundationDbWatch, too_many_are_refused_by_their_number) {
  FdbWorld world;
  auto connection = world.connection();
  auto hub = std::make_shared<WatchHub>(connection, WatchHub::Bounds{.keys = 2, .watches = 3});
  auto first = hub->add("a", {});
  auto second = hub->add("b", {});
  ASSERT_TRUE(first && second);
  const auto third = hub->add("c", {});
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().kind(), ErrorKind::exhausted);
  EXPECT_NE(third.error().message().find("2"), std::string::npos);
  first->reset();
  EXPECT_TRUE(hub->add("c", {}));
  hub->close();
}

TEST(FoundationDbWatch, closing_fires_closed_and_refuses_new_ones) {
  FdbWorld world;
  auto backend = world.backend();
  auto watch = watch_on(*backend, "key");
  ASSERT_TRUE(wait_for(backend->close()));
  const auto waited = wait_for(watch->changed());
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().kind(), ErrorKind::closed);
}

TEST(FoundationDbWatch, a_watch_outlives_its_store_and_says_closed) {
  FdbWorld world;
  auto watch = watch_on(*world.backend(), "key");
  world.forget_store();
  const auto waited = wait_for(watch->changed());
  ASSERT_FALSE(waited);
  EXPECT_EQ(waited.error().kind(), ErrorKind::closed);
}

TEST(FoundationDbWatch, values_are_told_apart_by_their_prints) {
  EXPECT_EQ(ValuePrint::of("value"), ValuePrint::of("value"));
  EXPECT_FALSE(ValuePrint::of("value") == ValuePrint::of("valuf"));
  EXPECT_FALSE(ValuePrint::of("") == ValuePrint::of(std::nullopt));
}

}  // namespace
}  // namespace semper::foundationdb
