// Versionstamps: the order and identity of commits, in keys and values.
#include <algorithm>
#include <atomic>
#include <iostream>
#include <mutex>
#include <set>

#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

Bytes blank_stamp() {
  return Bytes(Versionstamp::store_size, '\0');
}

// The ten bytes that the store writes for this commit.
Bytes stamp_bytes(const Versionstamp& stamp) {
  return Bytes(stamp.bytes().substr(0, Versionstamp::store_size));
}

Task<void> a_stamped_key_holds_the_stamp_that_commit_returned(World& world) {
  auto transaction = world.begin();
  transaction.set_versionstamped_key("log/" + blank_stamp() + "/tail", 4, "value");
  const auto stamp = co_await world.must_commit(transaction);
  EXPECT_TRUE(stamp.is_complete());
  EXPECT_EQ(co_await world.read_all(), rows_of("log/" + stamp_bytes(stamp) + "/tail", "value"));
}

Task<void> a_stamped_value_holds_the_stamp_that_commit_returned(World& world) {
  auto transaction = world.begin();
  transaction.set_versionstamped_value("key", "<" + blank_stamp() + ">", 1);
  transaction.set_versionstamped_value("bare", blank_stamp(), 0);
  const auto stamp = co_await world.must_commit(transaction);
  EXPECT_EQ(co_await world.read("key"), "<" + stamp_bytes(stamp) + ">");
  EXPECT_EQ(co_await world.read("bare"), stamp_bytes(stamp));
}

constexpr std::uint16_t kUsersMixed[] = {2, 0, 1};
constexpr std::uint16_t kUsersInOrder[] = {0, 1, 2};

Task<void> one_commit_has_one_stamp_and_user_versions_order_its_keys(World& world) {
  auto transaction = world.begin();
  for (const std::uint16_t user : kUsersMixed) {
    const Bytes key(Versionstamp::incomplete(user).bytes());
    transaction.set_versionstamped_key("log/" + key, 4, std::to_string(user));
  }
  const auto stamp = co_await world.must_commit(transaction);
  Rows expected;
  for (const std::uint16_t user : kUsersInOrder) {
    expected.push_back({"log/" + Bytes(stamp.with_user(user).bytes()), std::to_string(user)});
  }
  EXPECT_EQ(co_await world.read_all(), expected);
}

Task<void> later_commits_have_greater_stamps_on_any_handle(World& world) {
  const Store other = co_await world.open();
  Versionstamp last = Versionstamp::complete(0, 0, 0);
  for (int i = 0; i < 30; ++i) {
    auto transaction = (i % 3 == 0 ? other : world.store()).begin();
    transaction.set("key", std::to_string(i));
    const auto stamp = co_await world.must_commit(transaction);
    EXPECT_GT(stamp, last) << last.to_string() << " then " << stamp.to_string();
    last = stamp;
  }
}

// The stamp in the store is the one that counts: two commits at once must not get the same.
Task<void> stamps_of_commits_at_once_are_unique_and_in_order(World& world) {
  constexpr int kWriters = 50;
  constexpr int kCommits = 10;
  const Store other = co_await world.open();
  std::mutex mutex;
  std::set<Bytes> returned;
  std::vector<int> in_order(kWriters, 0);
  co_await world.in_parallel(kWriters, [&](int writer) -> Task<void> {
    const Store& store = writer % 2 == 0 ? world.store() : other;
    Versionstamp last = Versionstamp::complete(0, 0, 0);
    for (int i = 0; i < kCommits; ++i) {
      Versionstamp stamp;
      must(co_await store.transact(
          [&](Transaction& tx) -> Async<int> {
            tx.set_versionstamped_key("log/" + blank_stamp(), 4, std::to_string(writer));
            co_await yield_now();
            co_return 0;
          },
          {.committed_at = &stamp}));
      in_order[static_cast<std::size_t>(writer)] += stamp > last ? 1 : 0;
      last = stamp;
      std::lock_guard lock(mutex);
      returned.insert(stamp_bytes(stamp));
    }
  });
  for (const int count : in_order) EXPECT_EQ(count, kCommits);
  EXPECT_EQ(returned.size(), std::size_t{kWriters} * kCommits);
  std::set<Bytes> stored;
  for (const auto& row : co_await world.read_all({"log/", "log0"})) {
    stored.insert(row.key.substr(4));
  }
  EXPECT_EQ(stored, returned);
}

Task<void> a_snapshot_holds_every_commit_up_to_its_version_and_none_after(World& world) {
  std::atomic<bool> stop{false};
  co_await world.in_parallel(5, [&](int role) -> Task<void> {
    if (role > 0) {
      for (int i = 0; i < 40; ++i) {
        auto transaction = world.begin();
        transaction.set_versionstamped_key("log/" + blank_stamp(), 4, "");
        static_cast<void>(co_await transaction.commit());
        co_await yield_now();
      }
      stop = true;
      co_return;
    }
    Bytes newest_before;
    while (!stop) {
      auto reader = world.begin();
      const auto version = must(co_await reader.read_version());
      const auto page =
          must(co_await reader.get_range({"log/", "log0"}, {.order = Order::descending}));
      const Bytes newest = page.rows.empty() ? "" : page.rows.front().key.substr(4);
      if (!newest.empty()) {
        EXPECT_LE(load_big_endian_u64(newest), version);
      }
      EXPECT_GE(newest, newest_before) << "a later snapshot is older";
      newest_before = newest;
      co_await yield_now();
    }
  });
}

Task<void> a_stamped_value_cannot_be_read_before_the_commit(World& world) {
  auto transaction = world.begin();
  transaction.set_versionstamped_value("key", blank_stamp(), 0);
  transaction.set_versionstamped_key("log/" + blank_stamp(), 4, "");
  EXPECT_EQ(must_fail(co_await transaction.get("key")).kind(), ErrorKind::unsupported);
  EXPECT_EQ(must_fail(co_await transaction.get_range({"k", "l"})).kind(), ErrorKind::unsupported);
  EXPECT_TRUE(must(co_await transaction.get_range({"log/", "log0"})).rows.empty());
  transaction.set("key", "plain");
  EXPECT_EQ(must(co_await transaction.get("key")), "plain");
  co_await world.must_commit(transaction);
  EXPECT_EQ(co_await world.read("key"), "plain");
}

Task<void> a_stamped_key_survives_an_earlier_clear_of_its_range_only(World& world) {
  auto before = world.begin();
  before.clear_range({"log/", "log0"});
  before.set_versionstamped_key("log/" + blank_stamp(), 4, "kept");
  co_await world.must_commit(before);
  EXPECT_EQ((co_await world.read_all({"log/", "log0"})).size(), 1u);
  auto after = world.begin();
  after.set_versionstamped_key("log/" + blank_stamp(), 4, "removed");
  after.clear_range({"log/", "log0"});
  co_await world.must_commit(after);
  EXPECT_TRUE((co_await world.read_all({"log/", "log0"})).empty());
}

struct Place {
  std::size_t length;
  std::size_t offset;
};

constexpr Place kWithoutRoom[] = {{9, 0}, {10, 1}, {20, 11}, {20, 100}, {20, ~std::size_t{0}}};

Task<void> a_stamp_without_room_is_refused_and_nothing_is_applied(World& world) {
  for (const auto& [length, offset] : kWithoutRoom) {
    auto keyed = world.begin();
    keyed.set("other", "");
    keyed.set_versionstamped_key(Bytes(length, 'k'), offset, "");
    EXPECT_EQ(must_fail(co_await keyed.commit()).kind(), ErrorKind::invalid_argument);
    auto valued = world.begin();
    valued.set_versionstamped_value("key", Bytes(length, 'v'), offset);
    valued.set("other", "");
    EXPECT_EQ(must_fail(co_await valued.commit()).kind(), ErrorKind::invalid_argument);
  }
  EXPECT_TRUE((co_await world.read_all()).empty());
}

Task<void> a_raised_version_is_below_every_later_stamp(World& world) {
  auto reader = world.begin();
  const Version before = must(co_await reader.read_version());
  const Version floor = before + 1'000'000'000'000;
  const Status raised = co_await world.store().backend().raise_version(floor);
  if (!raised && raised.error().kind() == ErrorKind::unsupported) {
    std::cout << "not raised: " << raised.error().message() << std::endl;
    co_return;
  }
  EXPECT_TRUE(raised) << raised.error().to_string();
  const Store other = co_await world.open();
  auto transaction = other.begin();
  transaction.set("key", "after");
  const auto stamp = co_await world.must_commit(transaction);
  EXPECT_GT(stamp.version(), floor);
  EXPECT_TRUE(co_await world.store().backend().raise_version(before));
  auto later = world.begin();
  EXPECT_EQ(must(co_await later.get("key")), "after");
  later.set("key", "later");
  EXPECT_GT(co_await world.must_commit(later), stamp) << "a lower floor lowered the version";
}

Task<void> reading_alone_returns_the_incomplete_stamp(World& world) {
  auto transaction = world.begin();
  must(co_await transaction.get("key"));
  EXPECT_FALSE(must(co_await transaction.commit()).is_complete());
}

constexpr Case kVersionstampCases[] = {
    {"a_stamped_key_holds_the_stamp_that_commit_returned",
     a_stamped_key_holds_the_stamp_that_commit_returned},
    {"a_stamped_value_holds_the_stamp_that_commit_returned",
     a_stamped_value_holds_the_stamp_that_commit_returned},
    {"one_commit_has_one_stamp_and_user_versions_order_its_keys",
     one_commit_has_one_stamp_and_user_versions_order_its_keys},
    {"later_commits_have_greater_stamps_on_any_handle",
     later_commits_have_greater_stamps_on_any_handle},
    {"stamps_of_commits_at_once_are_unique_and_in_order",
     stamps_of_commits_at_once_are_unique_and_in_order},
    {"a_snapshot_holds_every_commit_up_to_its_version_and_none_after",
     a_snapshot_holds_every_commit_up_to_its_version_and_none_after},
    {"a_stamped_value_cannot_be_read_before_the_commit",
     a_stamped_value_cannot_be_read_before_the_commit},
    {"a_stamped_key_survives_an_earlier_clear_of_its_range_only",
     a_stamped_key_survives_an_earlier_clear_of_its_range_only},
    {"a_stamp_without_room_is_refused_and_nothing_is_applied",
     a_stamp_without_room_is_refused_and_nothing_is_applied},
    {"a_raised_version_is_below_every_later_stamp", a_raised_version_is_below_every_later_stamp},
    {"reading_alone_returns_the_incomplete_stamp", reading_alone_returns_the_incomplete_stamp},
};

}  // namespace

std::span<const Case> versionstamp_cases() {
  return kVersionstampCases;
}

}  // namespace semper::testing::conformance
