// The small parts: effects of mutations, versions and their revisions, rows that were read,
// declared writes, stamps, and what etcd's errors mean.
#include <gtest/gtest.h>

#include <memory>

#include "backends/etcd/backend.h"
#include "backends/etcd/declared_writes.h"
#include "backends/etcd/effects.h"
#include "backends/etcd/etcd_error.h"
#include "backends/etcd/mutations_test_support.h"
#include "backends/etcd/plan.h"
#include "backends/etcd/read_memory.h"
#include "backends/etcd/stamp_clock.h"
#include "backends/etcd/version_map.h"
#include "backends/etcd/watch_hub.h"
#include "semper/env/asio.h"
#include "semper/testing/simulated_clock.h"

namespace semper::etcd {
namespace {

Mutation clear_range(Bytes begin, Bytes end) {
  return {Mutation::Type::clear_range, std::move(begin), std::move(end), 0};
}

TEST(EtcdEffects, later_mutations_of_a_key_win_and_it_is_written_once) {
  const auto effects = effects_of(
      {set("a", "1"), set("a", "2"), {Mutation::Type::clear, "b", {}, 0}, set("b", "3")}, 0);
  EXPECT_EQ(effects.written.size(), 2u);
  EXPECT_EQ(effects.written.at("a"), "2");
  EXPECT_EQ(effects.written.at("b"), "3");
}

TEST(EtcdEffects, a_cleared_range_has_holes_where_something_is_written_into_it) {
  const auto effects = effects_of({set("k1", "gone"),
                                   clear_range("k", "l"),
                                   set("k2", "kept"),
                                   set("k4", ""),
                                   {Mutation::Type::clear, "k3", {}, 0}},
                                  0);
  EXPECT_EQ(effects.removed_ranges(),
            (std::vector<KeyRange>{{"k", "k2"}, {key_after("k2"), "k4"}, {key_after("k4"), "l"}}));
  EXPECT_FALSE(effects.written.contains("k1"));
}

TEST(EtcdEffects, sums_are_put_together_with_what_the_transaction_itself_wrote) {
  const auto effects = effects_of({add("n", 1),
                                   add("n", 2),
                                   set("m", Bytes("\5", 1)),
                                   add("m", 1),
                                   clear_range("x", "y"),
                                   add("x1", 7),
                                   add("z", 1),
                                   {Mutation::Type::clear, "z", {}, 0}},
                                  0);
  EXPECT_EQ(effects.added, (std::map<Bytes, std::uint64_t>{{"n", 3}}));
  EXPECT_EQ(load_little_endian_u64(*effects.written.at("m")), 6u);
  EXPECT_EQ(load_little_endian_u64(*effects.written.at("x1")), 7u);
  EXPECT_EQ(effects.written.at("z"), std::nullopt);
}

TEST(EtcdEffects, stamps_are_filled_in_big_endian_with_batch_zero) {
  const Bytes blank(10, '\0');
  const auto effects =
      effects_of({{Mutation::Type::set_versionstamped_key, "log" + blank, "v", 3},
                  {Mutation::Type::set_versionstamped_value, "key", "<" + blank + ">", 1}},
                 0x0102);
  Bytes stamp;
  append_big_endian_u64(stamp, 0x0102);
  append_big_endian_u16(stamp, 0);
  EXPECT_EQ(effects.written.at("log" + stamp), "v");
  EXPECT_EQ(effects.written.at("key"), "<" + stamp + ">");
}

Footprint footprint_of(std::vector<KeyRange> reads, std::vector<Mutation> writes) {
  CommitRequest request;
  for (auto& range : reads) request.reads.push_back({std::move(range), 0});
  request.mutations = std::move(writes);
  return Footprint(request);
}

TEST(EtcdFootprint, transactions_meet_where_one_writes_what_the_other_touches) {
  const Mutation log{Mutation::Type::set_versionstamped_key, "q/" + Bytes(10, '\0'), "", 2};
  const auto appending = footprint_of({}, {log});
  const auto reading = footprint_of({{"q/", "q0"}}, {set("r", "")});
  const auto elsewhere = footprint_of({{"p/", "p0"}}, {set("s", "")});
  EXPECT_TRUE(appending.meets(reading));
  EXPECT_TRUE(reading.meets(appending));
  EXPECT_FALSE(reading.meets(elsewhere));
  EXPECT_FALSE(appending.meets(footprint_of({}, {log}))) << "two stamped keys are two keys";
  EXPECT_TRUE(footprint_of({}, {add("n", 1)}).meets(footprint_of({}, {add("n", 1)})));
  EXPECT_FALSE(footprint_of({{"a", "b"}}, {}).meets(footprint_of({{"a", "b"}}, {})));
}

TEST(EtcdPlan, many_operations_fit_below_the_limit_of_a_level) {
  EXPECT_LE(cost_of_operations(2 * 2'500 + 1) + 2, kCostMaximum);
  EXPECT_EQ(cost_of_operations(3), 3u);
}

TEST(EtcdVersionMap, an_unknown_version_is_taken_for_the_one_before) {
  VersionMap versions;
  versions.add({10, 100, nullptr});
  versions.add({30, 300, nullptr});
  versions.add({20, 200, nullptr});
  EXPECT_FALSE(versions.at_or_before(9));
  EXPECT_EQ(versions.at_or_before(10)->revision, 100);
  EXPECT_EQ(versions.at_or_before(29)->revision, 200);
  EXPECT_EQ(versions.at_or_before(1'000)->revision, 300);
}

TEST(EtcdVersionMap, outside_of_its_footprint_a_shared_revision_counts_as_later) {
  RangeSet own;
  own.add({"a", "c"});
  const KnownVersion known{1, 100, std::make_shared<const RangeSet>(own)};
  EXPECT_EQ(known.bound(KeyRange::point("b")), 100);
  EXPECT_EQ(known.bound(KeyRange::point("c")), 99);
  EXPECT_EQ(known.bound({"b", "d"}), 99);
}

TEST(EtcdVersionMap, it_stays_bounded_and_forgets_the_footprints_of_old_versions_safely) {
  VersionMap versions;
  RangeSet own;
  own.add({"a", "b"});
  const auto footprint = std::make_shared<const RangeSet>(own);
  for (Version version = 1; version <= 100'000; ++version) {
    versions.add({version, static_cast<Revision>(version), footprint});
  }
  EXPECT_LE(versions.size(), kVersionsMaximum);
  const auto recent = versions.at_or_before(99'999);
  EXPECT_EQ(recent->bound(KeyRange::point("a")), 99'999);
  const auto old = versions.at_or_before(100'000 - kFootprintsMaximum);
  EXPECT_FALSE(old->footprint);
  EXPECT_LT(old->bound(KeyRange::point("a")), static_cast<Revision>(old->version));
  EXPECT_TRUE(versions.at_or_before(2)) << "the oldest is kept, so that nothing is too old";
}

TEST(EtcdVersionMap, a_large_footprint_is_not_kept) {
  VersionMap versions;
  RangeSet large;
  for (std::size_t i = 0; i <= kFootprintRangesMaximum; ++i) {
    large.add(KeyRange::point(std::to_string(i)));
  }
  versions.add({1, 100, std::make_shared<const RangeSet>(large)});
  EXPECT_FALSE(versions.at_or_before(1)->footprint);
  EXPECT_EQ(versions.at_or_before(1)->bound(KeyRange::point("1")), 99);
}

TEST(EtcdReadMemory, rows_are_known_where_as_many_were_seen_as_there_were) {
  ReadMemory memory;
  memory.remember(7, {"a", "b"});
  memory.remember(7, {"b", "c"});
  memory.remember(8, {"d"});
  EXPECT_EQ(memory.keys(7, {"a", "d"}, 3), (std::vector<Bytes>{"a", "b", "c"}));
  EXPECT_EQ(memory.keys(7, {"b", "z"}, 2), (std::vector<Bytes>{"b", "c"}));
  EXPECT_FALSE(memory.keys(7, {"a", "z"}, 4)) << "one of them was never seen";
  EXPECT_FALSE(memory.keys(9, {"a", "z"}, 1));
}

TEST(EtcdReadMemory, it_stays_bounded) {
  ReadMemory memory;
  for (Version version = 0; version < 2 * kRememberedPages; ++version) {
    memory.remember(version, {Bytes(8'000, 'k')});
  }
  EXPECT_FALSE(memory.keys(0, {"", "z"}, 1));
  EXPECT_TRUE(memory.keys(2 * kRememberedPages - 1, {"", "z"}, 1));
}

TEST(EtcdDeclaredWrites, conflict_with_those_who_read_before_and_survive_encoding) {
  DeclaredWrites declared;
  declared.add(10, {{"m", "n"}, {"x", "y"}});
  const auto read = DeclaredWrites::decode(declared.encode());
  ASSERT_TRUE(read);
  const std::vector<ReadRecord> reads = {{{"mm", "mn"}, 0}};
  EXPECT_TRUE(read->conflicts(reads, 9));
  EXPECT_FALSE(read->conflicts(reads, 10));
  EXPECT_FALSE(read->conflicts({{{"n", "o"}, 0}}, 9));
  EXPECT_FALSE(read->conflicts({}, 0));
}

TEST(EtcdDeclaredWrites, what_was_forgotten_conflicts_with_everything_older) {
  DeclaredWrites declared;
  for (Version version = 1; version <= 2 * kDeclaredCommits; ++version) {
    declared.add(version, {{"m", "n"}});
  }
  EXPECT_LE(declared.encode().size(), 2 * kDeclaredBytes);
  EXPECT_TRUE(declared.conflicts({{{"a", "b"}, 0}}, kDeclaredCommits - 1));
  EXPECT_FALSE(declared.conflicts({{{"a", "b"}, 0}}, kDeclaredCommits));
}

TEST(EtcdDeclaredWrites, damage_is_an_error) {
  DeclaredWrites declared;
  declared.add(10, {{"m", "n"}});
  const Bytes whole = declared.encode();
  for (std::size_t length = 9; length < whole.size(); ++length) {
    EXPECT_FALSE(DeclaredWrites::decode(BytesView(whole).substr(0, length))) << length;
  }
}

TEST(EtcdStampClock, follows_time_and_never_goes_back) {
  semper::testing::SimulatedClock clock;
  StampClock stamps(clock);
  const Version first = stamps.next(10);
  EXPECT_EQ(stamps.next(1), first + 10);
  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(stamps.next(1), first + 1'000'000);
  clock.jump_wall_time(-std::chrono::hours(1));
  EXPECT_EQ(stamps.next(1), first + 1'000'001);
}

TEST(EtcdStampClock, keeps_up_with_a_clock_that_runs_ahead) {
  semper::testing::SimulatedClock clock;
  StampClock stamps(clock);
  const Version ahead = stamps.next(1) + 5'000'000;
  stamps.saw(ahead);
  EXPECT_EQ(stamps.next(1), ahead + 1);
  clock.advance(std::chrono::seconds(1));
  EXPECT_EQ(stamps.next(1), ahead + 1'000'000);
}

TEST(EtcdWatchHub, a_watch_that_outlives_its_store_counts_itself_out) {
  std::weak_ptr<Statistics> counted;
  std::unique_ptr<Watch> watch;
  {
    asio::io_context loop;  // on which nothing runs
    auto statistics = std::make_shared<Statistics>();
    counted = statistics;
    WatchHub::Context context;
    context.executor = loop.get_executor();
    context.statistics = std::move(statistics);
    const auto hub = std::make_shared<WatchHub>(std::move(context));
    const WatchHub::Seen seen;
    auto added = hub->add("key", seen);
    ASSERT_TRUE(added) << added.error().to_string();
    watch = std::move(*added);
    hub->close();
  }
  ASSERT_FALSE(counted.expired()) << "the watch counts itself out where there is nothing any more";
  EXPECT_EQ(counted.lock()->watches.load(), 1);
  watch.reset();
  EXPECT_TRUE(counted.expired());
}

TEST(EtcdCheck, members_that_hold_different_data_are_damage) {
  using Member = Cluster::MemberHash;
  const Member a{"a:1", 7, 100};
  const Member b{"b:1", 8, 100};
  const Member compacted_elsewhere{"c:1", 9, 200};
  const Member silent{"d:1", std::nullopt, 0};
  const auto good = compare_members({a, compacted_elsewhere, silent, a});
  ASSERT_TRUE(good) << good.error().to_string();
  EXPECT_NE(good->find("3 of 4"), std::string::npos) << *good;
  const auto bad = compare_members({a, compacted_elsewhere, b});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind(), ErrorKind::corrupt);
  EXPECT_NE(bad.error().message().find("a:1 and b:1"), std::string::npos);
}

TEST(EtcdError, says_what_to_do_and_knows_what_became_of_a_write) {
  const Error full(ErrorKind::exhausted, "etcdserver: mvcc: database space exceeded (gRPC ...)");
  EXPECT_EQ(fate_of(full), Fate::processed);
  EXPECT_FALSE(is_passing(full));
  EXPECT_NE(explain(full).message().find("alarm disarm"), std::string::npos);
  const Error compacted(ErrorKind::invalid_argument,
                        "etcdserver: mvcc: required revision has been compacted");
  EXPECT_EQ(explain(compacted).kind(), ErrorKind::conflict);
  EXPECT_TRUE(is_compacted(explain(compacted)));
  const Error lost(ErrorKind::io, "etcdserver: request timed out");
  EXPECT_EQ(fate_of(lost), Fate::unknown);
  EXPECT_TRUE(is_passing(lost));
  const Error refused(ErrorKind::permission, "etcdserver: permission denied");
  EXPECT_EQ(fate_of(refused), Fate::refused);
  EXPECT_EQ(explain(refused).kind(), ErrorKind::permission);
  const Error large(ErrorKind::exhausted, "Received message larger than max (17 vs. 16)");
  EXPECT_EQ(fate_of(large), Fate::processed);
  const Error busy(ErrorKind::exhausted, "etcdserver: too many requests");
  EXPECT_EQ(fate_of(busy), Fate::refused);
  EXPECT_TRUE(is_passing(busy));
  EXPECT_EQ(fate_of(Error(ErrorKind::internal, "etcdserver: no such thing")), Fate::unknown);
  // What proxies do to a request that they give up, and gRPC makes of it.
  for (const Error& cut :
       {Error(ErrorKind::exhausted,
              "Received RST_STREAM with error code 11 (gRPC RESOURCE_EXHAUSTED)"),
        Error(ErrorKind::permission,
              "Received RST_STREAM with error code 12 (gRPC PERMISSION_DENIED)"),
        Error(ErrorKind::cancelled, "Received RST_STREAM with error code 8 (gRPC CANCELLED)"),
        Error(ErrorKind::cancelled, "context canceled (gRPC CANCELLED)")}) {
    EXPECT_EQ(fate_of(cut), Fate::unknown) << cut.message();
    EXPECT_TRUE(is_passing(cut)) << cut.message();
  }
}

}  // namespace
}  // namespace semper::etcd
