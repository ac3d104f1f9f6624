// Serializability: what two transactions at once must not be able to do to each other.
#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

Task<void> write_skew_is_refused(World& world) {
  co_await world.put(rows_of("x", "on call", "y", "on call"));
  auto first = world.begin();
  auto second = world.begin();
  must(co_await first.get("x"));
  must(co_await first.get("y"));
  must(co_await second.get("x"));
  must(co_await second.get("y"));
  first.set("x", "gone");
  second.set("y", "gone");
  co_await world.must_commit(first);
  co_await world.must_conflict(second);
  EXPECT_EQ(co_await world.read("y"), "on call");
}

Task<void> write_skew_through_ranges_is_refused(World& world) {
  auto first = world.begin();
  auto second = world.begin();
  EXPECT_TRUE(must(co_await first.get_range({"b/", "b0"})).rows.empty());
  EXPECT_TRUE(must(co_await second.get_range({"a/", "a0"})).rows.empty());
  first.set("a/1", "");
  second.set("b/1", "");
  co_await world.must_commit(first);
  co_await world.must_conflict(second);
}

Task<void> a_lost_update_is_refused(World& world) {
  co_await world.put(rows_of("n", "1"));
  auto first = world.begin();
  auto second = world.begin();
  must(co_await first.get("n"));
  must(co_await second.get("n"));
  first.set("n", "2");
  second.set("n", "3");
  co_await world.must_commit(first);
  co_await world.must_conflict(second);
  EXPECT_EQ(co_await world.read("n"), "2");
}

Task<void> creating_what_another_also_creates_is_refused(World& world) {
  auto first = world.begin();
  auto second = world.begin();
  EXPECT_EQ(must(co_await first.get("new")), std::nullopt);
  EXPECT_EQ(must(co_await second.get("new")), std::nullopt);
  first.set("new", "first");
  second.set("new", "second");
  co_await world.must_commit(first);
  co_await world.must_conflict(second);
  EXPECT_EQ(co_await world.read("new"), "first");
}

Task<void> writing_on_what_another_removed_is_refused(World& world) {
  co_await world.put(rows_of("parent", "here"));
  auto writer = world.begin();
  EXPECT_EQ(must(co_await writer.get("parent")), "here");
  writer.set("child", "");
  auto remover = world.begin();
  remover.clear("parent");
  co_await world.must_commit(remover);
  co_await world.must_conflict(writer);
  EXPECT_EQ(co_await world.read("child"), std::nullopt);
}

Task<void> removed_and_set_again_between_is_seen_as_changed(World& world) {
  co_await world.put(rows_of("key", "1"));
  auto reader = world.begin();
  must(co_await reader.get("key"));
  reader.set("other", "");
  co_await world.clear("key");
  co_await world.put(rows_of("key", "2"));
  co_await world.must_conflict(reader);
}

Task<void> a_phantom_row_is_refused(World& world) {
  co_await world.put(rows_of("r/1", "", "r/3", ""));
  auto reader = world.begin();
  EXPECT_EQ(must(co_await reader.get_range({"r/", "r0"})).rows.size(), 2u);
  reader.set("count", "2");
  co_await world.put(rows_of("r/2", ""));
  co_await world.must_conflict(reader);
}

Task<void> a_phantom_in_an_empty_range_is_refused(World& world) {
  auto reader = world.begin();
  EXPECT_TRUE(must(co_await reader.get_range({"r/", "r0"})).rows.empty());
  reader.set("count", "0");
  co_await world.put(rows_of("r/2", ""));
  co_await world.must_conflict(reader);
}

Task<void> a_row_removed_from_a_range_is_refused(World& world) {
  co_await world.put(rows_of("r/1", "", "r/2", "", "r/3", ""));
  auto reader = world.begin();
  must(co_await reader.get_range({"r/", "r0"}));
  reader.set("count", "3");
  co_await world.clear("r/2");
  co_await world.must_conflict(reader);
}

Task<void> a_range_cleared_behind_a_reader_is_refused(World& world) {
  co_await world.put(rows_of("r/1", "", "r/2", ""));
  auto reader = world.begin();
  must(co_await reader.get("r/2"));
  reader.set("seen", "");
  auto clearer = world.begin();
  clearer.clear_range({"r/", "r0"});
  co_await world.must_commit(clearer);
  co_await world.must_conflict(reader);
}

// The number of rows stays the same, and none of those that stay has changed.
Task<void> one_row_swapped_for_another_in_a_range_is_refused(World& world) {
  co_await world.put(rows_of("r/1", "", "r/2", ""));
  auto reader = world.begin();
  must(co_await reader.get_range({"r/", "r0"}));
  reader.set("keys", "1 2");
  auto swapper = world.begin();
  swapper.clear("r/2");
  swapper.set("r/3", "");
  co_await world.must_commit(swapper);
  co_await world.must_conflict(reader);
}

Task<void> a_value_changed_in_a_range_is_refused(World& world) {
  co_await world.put(rows_of("r/1", "10", "r/2", "20"));
  auto reader = world.begin();
  must(co_await reader.get_range({"r/", "r0"}));
  reader.set("sum", "30");
  co_await world.put(rows_of("r/2", "21"));
  co_await world.must_conflict(reader);
}

Task<void> an_add_is_seen_as_a_change_by_readers(World& world) {
  auto reader = world.begin();
  must(co_await reader.get("sum"));
  reader.set("copy", "");
  auto adder = world.begin();
  adder.add("sum", 1);
  co_await world.must_commit(adder);
  co_await world.must_conflict(reader);
}

Task<void> a_stamped_key_is_seen_as_a_phantom(World& world) {
  auto reader = world.begin();
  EXPECT_TRUE(must(co_await reader.get_range({"log/", "log0"})).rows.empty());
  reader.set("empty", "yes");
  auto writer = world.begin();
  writer.set_versionstamped_key("log/" + Bytes(Versionstamp::store_size, '\0'), 4, "");
  co_await world.must_commit(writer);
  co_await world.must_conflict(reader);
}

struct Trial {
  Order order;
  const char* written;
  bool conflicts;
};

constexpr Trial kTrials[] = {{Order::ascending, "r/2", true},  {Order::ascending, "r/3", true},
                             {Order::ascending, "r/4", false}, {Order::descending, "r/6", true},
                             {Order::descending, "r/5", true}, {Order::descending, "r/4", false}};

// With a limit, only what was really seen counts: up to the last row returned.
Task<void> a_limited_read_conflicts_up_to_its_last_row_and_no_further(World& world) {
  const Rows odd = rows_of("r/1", "", "r/3", "", "r/5", "", "r/7", "");
  for (const auto& trial : kTrials) {
    co_await world.put(odd);
    co_await world.clear("r/2");
    co_await world.clear("r/4");
    co_await world.clear("r/6");
    auto reader = world.begin();
    const auto page =
        must(co_await reader.get_range({"r/", "r0"}, {.limit = 2, .order = trial.order}));
    EXPECT_EQ(page.rows.size(), 2u);
    reader.set("first two", "");
    co_await world.put(rows_of(trial.written, "new"));
    if (trial.conflicts) {
      co_await world.must_conflict(reader);
    } else {
      co_await world.must_commit(reader);
    }
  }
}

// Two own rows fill the limit before the second stored row is needed.
Task<void> own_rows_in_a_limited_read_shorten_what_conflicts(World& world) {
  for (int trial = 0; trial < 2; ++trial) {
    co_await world.put(rows_of("r/1", "", "r/3", "", "r/5", ""));
    co_await world.clear("r/2");
    auto reader = world.begin();
    reader.set("r/0", "own");
    const auto page = must(co_await reader.get_range({"r/", "r0"}, {.limit = 2}));
    EXPECT_EQ(page.rows, rows_of("r/0", "own", "r/1", ""));
    EXPECT_TRUE(page.more);
    co_await world.put(rows_of(trial == 0 ? "r/2" : "r/1", "changed"));
    if (trial == 0) {
      co_await world.must_commit(reader);
    } else {
      co_await world.must_conflict(reader);
    }
    co_await world.clear("r/0");
  }
}

Task<void> snapshot_reads_do_not_conflict(World& world) {
  co_await world.put(rows_of("key", "1", "r/1", ""));
  auto reader = world.begin();
  EXPECT_EQ(must(co_await reader.get("key", ReadMode::snapshot)), "1");
  must(co_await reader.get_range({"r/", "r0"}, {.mode = ReadMode::snapshot}));
  reader.set("copy", "1");
  co_await world.put(rows_of("key", "2", "r/2", ""));
  co_await world.must_commit(reader);
  EXPECT_EQ(co_await world.read("copy"), "1");
}

Task<void> blind_writes_do_not_conflict(World& world) {
  auto first = world.begin();
  auto second = world.begin();
  first.set("key", "first");
  second.set("key", "second");
  first.clear_range({"a", "b"});
  second.set("a1", "");
  co_await world.must_commit(first);
  co_await world.must_commit(second);
  EXPECT_EQ(co_await world.read("key"), "second");
  EXPECT_EQ(co_await world.read("a1"), "");
}

Task<void> unrelated_keys_do_not_conflict(World& world) {
  co_await world.put(rows_of("a", "1", "b", "1", "r/1", ""));
  auto first = world.begin();
  must(co_await first.get("a"));
  must(co_await first.get("absent"));
  must(co_await first.get_range({"r/", "r0"}));
  first.set("a", "2");
  // Neighbours on every side of what was read.
  co_await world.put(rows_of("b", "2", "absen", "", "absent0", "", "r.", "", "r0", ""));
  co_await world.must_commit(first);
}

Task<void> reading_ones_own_writes_does_not_conflict(World& world) {
  auto first = world.begin();
  must(co_await first.read_version());
  first.set("key", "mine");
  EXPECT_EQ(must(co_await first.get("key")), "mine");
  first.clear("gone");
  EXPECT_EQ(must(co_await first.get("gone")), std::nullopt);
  co_await world.put(rows_of("key", "theirs", "gone", "theirs"));
  co_await world.must_commit(first);
  EXPECT_EQ(co_await world.read("key"), "mine");
  EXPECT_EQ(co_await world.read("gone"), std::nullopt);
}

Task<void> reading_only_never_conflicts(World& world) {
  co_await world.put(rows_of("key", "1"));
  auto reader = world.begin();
  must(co_await reader.get("key"));
  co_await world.put(rows_of("key", "2"));
  co_await world.must_commit(reader);
}

Task<void> a_snapshot_does_not_move(World& world) {
  co_await world.put(rows_of("a", "1", "b", "1", "c", "1"));
  auto reader = world.begin();
  const auto version = must(co_await reader.read_version());
  co_await world.put(rows_of("a", "2", "d", "2"));
  co_await world.clear("b");
  auto adder = world.begin();
  adder.add("c", 1);
  co_await world.must_commit(adder);
  EXPECT_EQ(must(co_await reader.get("a")), "1");
  EXPECT_EQ(must(co_await reader.get("b")), "1");
  EXPECT_EQ(must(co_await reader.get("d")), std::nullopt);
  EXPECT_EQ(must(co_await reader.get_range({"a", "z"})).rows,
            rows_of("a", "1", "b", "1", "c", "1"));
  EXPECT_EQ(must(co_await reader.read_version()), version);
}

Task<void> a_commit_is_seen_by_every_later_snapshot_on_any_handle(World& world) {
  const Store other = co_await world.open();
  for (int i = 0; i < 20; ++i) {
    const Bytes value = std::to_string(i);
    const Store& writer = i % 2 == 0 ? world.store() : other;
    const Store& reader = i % 2 == 0 ? other : world.store();
    auto write = writer.begin();
    write.set("key", value);
    const auto stamp = co_await world.must_commit(write);
    auto read = reader.begin();
    EXPECT_EQ(must(co_await read.get("key")), value);
    EXPECT_GE(must(co_await read.read_version()), stamp.version());
  }
}

Task<void> two_handles_conflict_like_one(World& world) {
  const Store other = co_await world.open();
  co_await world.put(rows_of("n", "1"));
  auto first = world.begin();
  auto second = other.begin();
  must(co_await first.get("n"));
  must(co_await second.get("n"));
  must(co_await second.get_range({"r/", "r0"}));
  first.set("n", "2");
  second.set("r/1", "3");
  co_await world.must_commit(first);
  co_await world.must_conflict(second);
}

Task<void> two_handles_conflict_through_ranges_like_one(World& world) {
  const Store other = co_await world.open();
  co_await world.put(rows_of("r/1", "1"));
  auto second = other.begin();
  second.set("of its own", "before");  // so that it has made a commit itself
  co_await world.must_commit(second);
  second = other.begin();
  must(co_await second.get_range({"r/", "r0"}));
  co_await world.put(rows_of("r/2", "2"));
  second.set("n", "3");
  co_await world.must_conflict(second);
}

Task<void> a_refused_commit_applies_nothing(World& world) {
  co_await world.put(rows_of("read", "1", "cleared", "1", "range/1", "1"));
  auto loser = world.begin();
  must(co_await loser.get("read"));
  loser.set("set", "2");
  loser.clear("cleared");
  loser.clear_range({"range/", "range0"});
  loser.add("sum", 2);
  loser.set_versionstamped_key("log/" + Bytes(Versionstamp::store_size, '\0'), 4, "2");
  co_await world.put(rows_of("read", "3"));
  co_await world.must_conflict(loser);
  EXPECT_EQ(co_await world.read_all(), rows_of("cleared", "1", "range/1", "1", "read", "3"));
}

Task<void> a_transaction_that_is_dropped_applies_nothing(World& world) {
  {
    auto dropped = world.begin();
    must(co_await dropped.get("a"));
    dropped.set("a", "1");
    dropped.add("b", 1);
  }
  EXPECT_TRUE((co_await world.read_all()).empty());
}

constexpr Case kIsolationCases[] = {
    {"write_skew_is_refused", write_skew_is_refused},
    {"write_skew_through_ranges_is_refused", write_skew_through_ranges_is_refused},
    {"a_lost_update_is_refused", a_lost_update_is_refused},
    {"creating_what_another_also_creates_is_refused",
     creating_what_another_also_creates_is_refused},
    {"writing_on_what_another_removed_is_refused", writing_on_what_another_removed_is_refused},
    {"removed_and_set_again_between_is_seen_as_changed",
     removed_and_set_again_between_is_seen_as_changed},
    {"a_phantom_row_is_refused", a_phantom_row_is_refused},
    {"a_phantom_in_an_empty_range_is_refused", a_phantom_in_an_empty_range_is_refused},
    {"a_row_removed_from_a_range_is_refused", a_row_removed_from_a_range_is_refused},
    {"a_range_cleared_behind_a_reader_is_refused", a_range_cleared_behind_a_reader_is_refused},
    {"one_row_swapped_for_another_in_a_range_is_refused",
     one_row_swapped_for_another_in_a_range_is_refused},
    {"a_value_changed_in_a_range_is_refused", a_value_changed_in_a_range_is_refused},
    {"an_add_is_seen_as_a_change_by_readers", an_add_is_seen_as_a_change_by_readers},
    {"a_stamped_key_is_seen_as_a_phantom", a_stamped_key_is_seen_as_a_phantom},
    {"a_limited_read_conflicts_up_to_its_last_row_and_no_further",
     a_limited_read_conflicts_up_to_its_last_row_and_no_further},
    {"own_rows_in_a_limited_read_shorten_what_conflicts",
     own_rows_in_a_limited_read_shorten_what_conflicts},
    {"snapshot_reads_do_not_conflict", snapshot_reads_do_not_conflict},
    {"blind_writes_do_not_conflict", blind_writes_do_not_conflict},
    {"unrelated_keys_do_not_conflict", unrelated_keys_do_not_conflict},
    {"reading_ones_own_writes_does_not_conflict", reading_ones_own_writes_does_not_conflict},
    {"reading_only_never_conflicts", reading_only_never_conflicts},
    {"a_snapshot_does_not_move", a_snapshot_does_not_move},
    {"a_commit_is_seen_by_every_later_snapshot_on_any_handle",
     a_commit_is_seen_by_every_later_snapshot_on_any_handle},
    {"two_handles_conflict_like_one", two_handles_conflict_like_one},
    {"two_handles_conflict_through_ranges_like_one", two_handles_conflict_through_ranges_like_one},
    {"a_refused_commit_applies_nothing", a_refused_commit_applies_nothing},
    {"a_transaction_that_is_dropped_applies_nothing",
     a_transaction_that_is_dropped_applies_nothing},
};

}  // namespace

std::span<const Case> isolation_cases() {
  return kIsolationCases;
}

}  // namespace semper::testing::conformance
