// Conflicts that a transaction declares: explicit ranges, and reads taken over from before.
#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

Task<void> a_declared_read_conflicts_like_a_read(World& world) {
  co_await world.put(rows_of("r/1", ""));
  for (int row = 1; row <= 2; ++row) {
    auto transaction = world.begin();
    must(co_await transaction.add_read_conflict_range({"r/", "r0"}));
    transaction.set("decided", "");
    co_await world.put(rows_of("r/" + std::to_string(row), "new"));
    co_await world.must_conflict(transaction);
  }
}

Task<void> a_declared_read_sees_a_removal(World& world) {
  co_await world.put(rows_of("r/1", "", "r/2", ""));
  auto transaction = world.begin();
  must(co_await transaction.add_read_conflict_range({"r/", "r0"}));
  transaction.set("decided", "");
  co_await world.clear("r/1");
  co_await world.must_conflict(transaction);
}

Task<void> outside_a_declared_read_nothing_conflicts(World& world) {
  auto transaction = world.begin();
  must(co_await transaction.add_read_conflict_range({"r/", "r0"}));
  must(co_await transaction.add_read_conflict_range({"z", "a"}));
  transaction.set("decided", "");
  co_await world.put(rows_of("r.", "", "r0", "", "m", ""));
  co_await world.must_commit(transaction);
}

Task<void> a_declared_write_conflicts_with_a_reader(World& world) {
  co_await world.put(rows_of("m", "1"));
  auto point = world.begin();
  must(co_await point.get("m"));
  point.set("decided", "");
  auto range = world.begin();
  must(co_await range.get_range({"l", "n"}));
  range.set("decided", "");
  auto absent = world.begin();
  must(co_await absent.get("mm"));
  absent.set("decided", "");
  auto writer = world.begin();
  writer.add_write_conflict_range({"m", "n"});
  co_await world.must_commit(writer);
  co_await world.must_conflict(point);
  co_await world.must_conflict(range);
  co_await world.must_conflict(absent);
  EXPECT_EQ(co_await world.read("m"), "1");
}

Task<void> outside_a_declared_write_nothing_conflicts(World& world) {
  co_await world.put(rows_of("l", "1", "n", "1"));
  auto reader = world.begin();
  must(co_await reader.get("l"));
  must(co_await reader.get("n"));
  reader.set("decided", "");
  auto writer = world.begin();
  writer.add_write_conflict_range({"m", "n"});
  writer.set("written", "");
  co_await world.must_commit(writer);
  co_await world.must_commit(reader);
}

Task<void> a_declared_write_does_not_conflict_with_writers_or_later_readers(World& world) {
  auto blind = world.begin();
  blind.set("m", "blind");
  auto writer = world.begin();
  writer.add_write_conflict_range({"m", "n"});
  co_await world.must_commit(writer);
  co_await world.must_commit(blind);
  auto later = world.begin();
  EXPECT_EQ(must(co_await later.get("m")), "blind");
  later.set("decided", "");
  co_await world.must_commit(later);
}

Task<void> a_held_read_is_good_while_nothing_changed(World& world) {
  co_await world.put(rows_of("state", "1", "row/1", "", "row/2", ""));
  auto reader = world.begin();
  const auto version = must(co_await reader.read_version());
  for (int i = 0; i < 100; ++i) {
    const Bytes key = "busy/" + std::to_string(i % 10);
    co_await world.put(rows_of(key, std::to_string(i)));
    if (i % 3 == 0) co_await world.clear(key);
  }
  auto holder = world.begin({.read_version = version});
  holder.assume_unchanged(KeyRange::point("state"), 1);
  holder.assume_unchanged(KeyRange::point("absent"), 0);
  holder.assume_unchanged({"row/", "row0"}, 2);
  holder.set("state", "2");
  co_await world.must_commit(holder);
  EXPECT_EQ(co_await world.read("state"), "2");
}

struct Effect {
  const char* what;
  Mutation::Type type;
  const char* key;
};

constexpr Effect kEffects[] = {{"a new value", Mutation::Type::set, "row/1"},
                               {"a new row", Mutation::Type::set, "row/3"},
                               {"a sum", Mutation::Type::add, "row/2"},
                               {"a removal", Mutation::Type::clear, "row/1"}};

Task<void> a_held_read_is_refused_after_any_change(World& world) {
  for (const auto& change : kEffects) {
    co_await world.put(rows_of("row/1", "1", "row/2", "1"));
    co_await world.clear("row/3");
    auto reader = world.begin();
    const auto version = must(co_await reader.read_version());
    auto writer = world.begin();
    if (change.type == Mutation::Type::set) writer.set(change.key, "changed");
    if (change.type == Mutation::Type::add) writer.add(change.key, 1);
    if (change.type == Mutation::Type::clear) writer.clear(change.key);
    co_await world.must_commit(writer);
    for (int i = 0; i < 5; ++i) co_await world.put(rows_of("busy", std::to_string(i)));
    auto holder = world.begin({.read_version = version});
    holder.assume_unchanged({"row/", "row0"}, 2);
    holder.set("decided", change.what);
    co_await world.must_conflict(holder);
  }
  EXPECT_EQ(co_await world.read("decided"), std::nullopt);
}

Task<void> a_held_read_of_an_absent_key_is_refused_once_it_is_there(World& world) {
  auto reader = world.begin();
  const auto version = must(co_await reader.read_version());
  co_await world.put(rows_of("lock", "theirs"));
  auto holder = world.begin({.read_version = version});
  holder.assume_unchanged(KeyRange::point("lock"), 0);
  holder.set("lock", "ours");
  co_await world.must_conflict(holder);
  EXPECT_EQ(co_await world.read("lock"), "theirs");
}

Task<void> reading_the_store_at_a_held_version_that_is_past_conflicts(World& world) {
  co_await world.put(rows_of("a", "1"));
  auto reader = world.begin();
  const auto version = must(co_await reader.read_version());
  auto current = world.begin({.read_version = version});
  EXPECT_EQ(must(co_await current.get("a")), "1");
  co_await world.put(rows_of("b", "1"));
  auto past = world.begin({.read_version = version});
  EXPECT_EQ(must_fail(co_await past.get("a")).kind(), ErrorKind::conflict);
  EXPECT_EQ(must(co_await past.read_version()), version);
}

Task<void> a_commits_stamp_is_the_version_to_hold(World& world) {
  auto writer = world.begin();
  writer.set("state", "1");
  const auto stamp = co_await world.must_commit(writer);
  auto holder = world.begin({.read_version = stamp.version()});
  holder.assume_unchanged(KeyRange::point("state"), 1);
  holder.set("state", "2");
  co_await world.must_commit(holder);
  auto late = world.begin({.read_version = stamp.version()});
  late.assume_unchanged(KeyRange::point("state"), 1);
  late.set("state", "3");
  co_await world.must_conflict(late);
}

constexpr Case kConflictRangeCases[] = {
    {"a_declared_read_conflicts_like_a_read", a_declared_read_conflicts_like_a_read},
    {"a_declared_read_sees_a_removal", a_declared_read_sees_a_removal},
    {"outside_a_declared_read_nothing_conflicts", outside_a_declared_read_nothing_conflicts},
    {"a_declared_write_conflicts_with_a_reader", a_declared_write_conflicts_with_a_reader},
    {"outside_a_declared_write_nothing_conflicts", outside_a_declared_write_nothing_conflicts},
    {"a_declared_write_does_not_conflict_with_writers_or_later_readers",
     a_declared_write_does_not_conflict_with_writers_or_later_readers},
    {"a_held_read_is_good_while_nothing_changed", a_held_read_is_good_while_nothing_changed},
    {"a_held_read_is_refused_after_any_change", a_held_read_is_refused_after_any_change},
    {"a_held_read_of_an_absent_key_is_refused_once_it_is_there",
     a_held_read_of_an_absent_key_is_refused_once_it_is_there},
    {"reading_the_store_at_a_held_version_that_is_past_conflicts",
     reading_the_store_at_a_held_version_that_is_past_conflicts},
    {"a_commits_stamp_is_the_version_to_hold", a_commits_stamp_is_the_version_to_hold},
};

}  // namespace

std::span<const Case> conflict_range_cases() {
  return kConflictRangeCases;
}

}  // namespace semper::testing::conformance
