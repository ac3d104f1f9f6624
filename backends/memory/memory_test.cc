#include "backends/memory/memory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "backends/memory/memory_engine.h"
#include "backends/memory/versioned_map.h"
#include "env/sanitizer_test_support.h"
#include "semper/store/store.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using memory::VersionedMap;
using testing::simulated_run;
using testing::SimulatedClock;

class Memory : public ::testing::Test {
 protected:
  std::shared_ptr<Backend> open(std::string_view url) {
    auto opened = simulated_run(clock_, open_memory(*StoreUrl::parse(url), env_));
    EXPECT_TRUE(opened) << opened.error().to_string();
    return *opened;
  }

  Error refused(std::string_view url) {
    auto opened = simulated_run(clock_, open_memory(*StoreUrl::parse(url), env_));
    EXPECT_FALSE(opened);
    return opened.error();
  }

  void put(Backend& backend, Bytes key, Bytes value) {
    CommitRequest request;
    request.mutations.push_back({Mutation::Type::set, std::move(key), std::move(value), 0});
    EXPECT_TRUE(simulated_run(clock_, backend.commit(std::move(request))));
  }

  std::optional<Bytes> read(Backend& backend, BytesView key) {
    auto snapshot = simulated_run(clock_, backend.snapshot());
    return *simulated_run(clock_, (*snapshot)->get(key));
  }

  static std::int64_t figure(const Backend& backend, std::string_view name) {
    for (const auto& [key, value] : backend.statistics()) {
      if (key == name) return value;
    }
    ADD_FAILURE() << "no figure " << name;
    return -1;
  }

  SimulatedClock clock_;
  SeededRandom random_{1};
  Env env_{&clock_, &random_};
};

TEST_F(Memory, stores_without_a_name_share_nothing) {
  auto one = open("memory:");
  auto other = open("memory:");
  put(*one, "key", "value");
  EXPECT_EQ(read(*one, "key"), "value");
  EXPECT_EQ(read(*other, "key"), std::nullopt);
}

TEST_F(Memory, a_version_from_which_nothing_could_be_counted_on_is_refused) {
  auto store = open("memory:");
  constexpr Version kHighest = Version{1} << 62;
  for (const Version floor : {kHighest + 1, ~Version{0}}) {
    const auto raised = simulated_run(clock_, store->raise_version(floor));
    ASSERT_FALSE(raised);
    EXPECT_EQ(raised.error().kind(), ErrorKind::invalid_argument) << raised.error().to_string();
  }
  EXPECT_TRUE(simulated_run(clock_, store->raise_version(kHighest)));
  CommitRequest request;
  request.mutations.push_back({Mutation::Type::set, "key", "value", 0});
  const auto receipt = simulated_run(clock_, store->commit(std::move(request)));
  ASSERT_TRUE(receipt) << receipt.error().to_string();
  EXPECT_GT(receipt->version, kHighest);
}

TEST_F(Memory, stores_of_one_name_share_everything_while_one_of_them_is_open) {
  auto one = open("memory:shared");
  auto other = open("memory:shared");
  put(*one, "key", "value");
  one.reset();
  EXPECT_EQ(read(*other, "key"), "value");
  EXPECT_EQ(read(*open("memory:another"), "key"), std::nullopt);
  other.reset();
  EXPECT_EQ(read(*open("memory:shared"), "key"), std::nullopt);
}

TEST_F(Memory, a_url_parameter_replaces_a_limit) {
  auto backend = open("memory:?value_bytes=7&transaction_ms=250");
  EXPECT_EQ(backend->limits().value_bytes, 7u);
  EXPECT_EQ(backend->limits().transaction_duration, 250ms);
  EXPECT_EQ(backend->limits().key_bytes, Limits().key_bytes);
  EXPECT_EQ(backend->url(), "memory:?value_bytes=7&transaction_ms=250");
}

TEST_F(Memory, unknown_and_malformed_parameters_are_refused_by_name) {
  for (const char* url :
       {"memory:?cache_mib=4", "memory:?key_bytes=", "memory:?key_bytes=ten", "memory:?key_bytes=0",
        "memory:?value_bytes=-1", "memory:?transaction_ms=99999999999"}) {
    const auto error = refused(url);
    EXPECT_EQ(error.kind(), ErrorKind::invalid_argument) << url;
    EXPECT_NE(error.message().find(std::string(url).substr(8, 5)), std::string::npos)
        << error.message();
  }
}

TEST_F(Memory, closing_one_handle_leaves_the_other_open) {
  auto one = open("memory:shared");
  auto other = open("memory:shared");
  EXPECT_TRUE(simulated_run(clock_, one->close()));
  EXPECT_EQ(simulated_run(clock_, one->snapshot()).error().kind(), ErrorKind::closed);
  put(*other, "key", "value");
}

TEST_F(Memory, old_revisions_go_when_the_last_snapshot_that_sees_them_goes) {
  auto backend = open("memory:");
  put(*backend, "key", "0");
  auto snapshot = simulated_run(clock_, backend->snapshot());
  for (int i = 1; i <= 10; ++i) put(*backend, "key", std::to_string(i));
  EXPECT_EQ(figure(*backend, "revisions"), 11);
  EXPECT_EQ(*simulated_run(clock_, (*snapshot)->get("key")), "0");
  snapshot->reset();
  put(*backend, "other", "");
  EXPECT_EQ(figure(*backend, "revisions"), 2);
}

TEST_F(Memory, a_snapshot_past_its_time_is_refused_and_holds_nothing_back) {
  auto backend = open("memory:?transaction_ms=1000");
  put(*backend, "key", "0");
  auto snapshot = simulated_run(clock_, backend->snapshot());
  clock_.advance(1000ms);
  EXPECT_TRUE(simulated_run(clock_, (*snapshot)->get("key")));
  clock_.advance(1ms);
  for (int i = 0; i < 3; ++i) put(*backend, "key", "1");
  EXPECT_EQ(figure(*backend, "revisions"), 1);
  EXPECT_EQ(figure(*backend, "snapshots"), 0);
  const auto refused = simulated_run(clock_, (*snapshot)->get("key"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::timeout);
  EXPECT_NE(refused.error().message().find("transaction_duration = 1000 ms"), std::string::npos);
  EXPECT_EQ(simulated_run(clock_, backend->watch("key", **snapshot)).error().kind(),
            ErrorKind::timeout);
}

TEST_F(Memory, watches_past_their_maximum_are_refused_and_room_comes_back) {
  auto backend = open("memory:");
  auto snapshot = simulated_run(clock_, backend->snapshot());
  std::vector<std::unique_ptr<Watch>> watches;
  for (std::size_t i = 0; i < memory::kWatchesMaximum; ++i) {
    watches.push_back(*simulated_run(clock_, backend->watch("key", **snapshot)));
  }
  const auto refused = simulated_run(clock_, backend->watch("key", **snapshot));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted);
  watches.pop_back();
  EXPECT_TRUE(simulated_run(clock_, backend->watch("key", **snapshot)));
  put(*backend, "key", "");
  EXPECT_EQ(figure(*backend, "watches"), 0);
  EXPECT_TRUE(simulated_run(clock_, watches.front()->changed()));
}

// ---- VersionedMap ----

Mutation setting(Bytes key, Bytes value) {
  return {Mutation::Type::set, std::move(key), std::move(value), 0};
}
Mutation clearing(Bytes key) {
  return {Mutation::Type::clear, std::move(key), {}, 0};
}

Version commit(VersionedMap& map, std::vector<Mutation> mutations,
               std::vector<KeyRange> write_conflicts = {}) {
  CommitRequest request;
  request.mutations = std::move(mutations);
  request.write_conflicts = std::move(write_conflicts);
  std::vector<Bytes> changed;
  const auto version = map.apply(request, changed);
  map.collect(version);
  EXPECT_TRUE(map.check());
  return version;
}

TEST(VersionedMap, removing_what_is_not_there_changes_nothing) {
  VersionedMap map;
  CommitRequest request;
  request.mutations = {clearing("absent"), {Mutation::Type::clear_range, "a", "z", 0}};
  std::vector<Bytes> changed;
  map.apply(request, changed);
  EXPECT_TRUE(changed.empty());
  EXPECT_FALSE(map.changed_since({KeyRange::point("absent"), 0}, 0));
}

TEST(VersionedMap, set_and_removed_in_one_commit_leaves_no_key) {
  VersionedMap map;
  const auto version = commit(map, {setting("key", "1"), clearing("key"), setting("b", "2"),
                                    clearing("b"), setting("b", "3")});
  EXPECT_EQ(map.get("key", version), std::nullopt);
  EXPECT_EQ(map.get("b", version), "3");
  EXPECT_EQ(map.key_count(), 1u);
}

// More removals than are kept: a check from before them must not pass by forgetting.
TEST(VersionedMap, a_forgotten_removal_is_found_by_counting) {
  VersionedMap map;
  commit(map, {setting("kept", ""), setting("removed", "")});
  const auto read_version = map.version();
  commit(map, {clearing("removed")});
  for (std::size_t i = 0; i <= memory::kRemovalsKept; ++i) {
    CommitRequest request;
    const auto key = "x" + std::to_string(i);
    request.mutations = {setting(key, ""), clearing(key)};
    std::vector<Bytes> changed;
    map.apply(request, changed);
    map.collect(map.version());
  }
  EXPECT_EQ(map.last_change("removed"), 0u) << "the removal is still there: nothing was tested";
  EXPECT_TRUE(map.changed_since({KeyRange::point("removed"), 1}, read_version));
  EXPECT_TRUE(map.changed_since({{"k", "s"}, 2}, read_version));
  EXPECT_TRUE(map.changed_since({KeyRange::point("kept"), ReadRecord::kRowsUnknown}, read_version));
  EXPECT_FALSE(map.changed_since({KeyRange::point("kept"), 1}, read_version));
  EXPECT_FALSE(map.changed_since({KeyRange::point("never there"), 0}, read_version));
  EXPECT_TRUE(map.check());
}

TEST(VersionedMap, a_forgotten_write_conflict_still_counts_as_a_conflict) {
  VersionedMap map;
  const auto read_version = commit(map, {setting("key", "")});
  commit(map, {}, {{"a", "b"}});
  EXPECT_FALSE(map.changed_since({KeyRange::point("key"), 1}, read_version));
  for (std::size_t i = 0; i < memory::kWriteConflictsKept; ++i) {
    CommitRequest request;
    request.write_conflicts = {{"a", "b"}};
    std::vector<Bytes> changed;
    map.apply(request, changed);
    map.collect(map.version());
  }
  EXPECT_TRUE(map.changed_since({KeyRange::point("key"), 1}, read_version));
  EXPECT_FALSE(map.changed_since({KeyRange::point("key"), 1}, map.version()));
}

TEST(VersionedMap, a_page_is_bounded_in_bytes_and_says_that_there_is_more) {
  VersionedMap map;
  for (int i = 0; i < 30; ++i) {
    commit(map, {setting("k" + std::to_string(10 + i), Bytes(100'000, 'x'))});
  }
  const auto page = map.get_range(PageRequest({"k", "l"}, 1000, Order::descending), map.version());
  EXPECT_TRUE(page.more);
  EXPECT_LT(page.rows.size(), 30u);
  EXPECT_EQ(page.rows.front().key, "k39");
}

// What is known of schemes and of stores by name belongs to the process, not to a store.
bool opens_a_store() {
  SimulatedClock clock;
  SeededRandom random{1};
  const Env env{&clock, &random};
  register_backend("memory-of-forks", open_memory);
  return simulated_run(clock, open_backend("memory-of-forks:by-name", env)).has_value();
}

TEST(MemoryFork, a_child_waits_for_a_thread_of_its_parent_when_it_opens_a_store) {
  SEMPER_FORKS_BESIDE_THREADS();
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    while (!stop.load()) static_cast<void>(opens_a_store());
  });
  int failed = 0;
  for (int i = 0; i < 200 && failed == 0; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(30);  // one that hangs
      ::_exit(opens_a_store() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    failed += status == 0 ? 0 : 1;
  }
  stop.store(true);
  busy.join();
  EXPECT_EQ(failed, 0);
}

// In the child: whether it is refused what its parent has open, and ends.
bool is_refused(const Store& store, SimulatedClock& clock) {
  const auto read = [](Transaction& transaction) -> Async<bool> {
    const std::string key = "key";
    SEMPER_CO_TRY(const auto value, co_await transaction.get(key));
    co_return value.has_value();
  };
  const auto result = simulated_run(clock, store.transact(read));
  return !result && result.error().kind() == ErrorKind::unsupported &&
         !simulated_run(clock, store.close());
}

TEST(MemoryFork, a_child_is_refused_its_parents_store_whatever_a_thread_of_the_parent_does) {
  SEMPER_FORKS_BESIDE_THREADS();
  SimulatedClock clock;
  SeededRandom random{1};
  const Env env{&clock, &random};
  register_backend("memory-of-forks", open_memory);
  auto backend = simulated_run(clock, open_backend("memory-of-forks:shared", env));
  ASSERT_TRUE(backend);
  std::atomic<bool> stop = false;
  std::thread busy([&] {
    while (!stop.load()) static_cast<void>((*backend)->statistics());
  });
  const Store store(*backend, env);
  int failed = 0;
  for (int i = 0; i < 200 && failed == 0; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(30);  // one that hangs
      ::_exit(is_refused(store, clock) ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    failed += status == 0 ? 0 : 1;
  }
  stop.store(true);
  busy.join();
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace semper
