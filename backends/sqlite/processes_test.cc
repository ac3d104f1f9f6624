// What processes with one store do to each other: nobody loses anything, whoever dies when.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <optional>
#include <thread>
#include <vector>

#include "parts_test_support.h"
#include "place.h"
#include "semper/env/asio.h"
#include "semper/store/recent_changes.h"
#include "semper/testing/child_process.h"
#include "semper/testing/simulated_clock.h"
#include "store_file.h"
#include "turn.h"

namespace semper::sqlite {
namespace {

using testing::child_argument;
using testing::ChildProcess;
using testing::say;

constexpr int kIncrements = 150;

std::int64_t number_in(const std::optional<Bytes>& value) {
  std::int64_t number = 0;
  if (value) std::from_chars(value->data(), value->data() + value->size(), number);
  return number;
}

Result<std::int64_t> increment(const Store& store) {
  return wait_for([](Store in) -> Async<std::int64_t> {
    TransactOptions options;
    options.max_attempts = 100'000;
    co_return co_await in.transact(
        [](Transaction& tx) -> Async<std::int64_t> {
          SEMPER_CO_TRY(const auto old, co_await tx.get("counter"));
          const std::int64_t next = number_in(old) + 1;
          tx.set("counter", std::to_string(next));
          co_return next;
        },
        options);
  }(store));
}

SEMPER_CHILD(increments_a_counter) {
  const Store store = must_open(child_argument());
  for (int i = 0; i < kIncrements; ++i) {
    const auto done = increment(store);
    ASSERT_TRUE(done) << done.error().to_string();
    if (i == 0) say("running");
  }
  ASSERT_TRUE(wait_for(store.close()));
}

SEMPER_CHILD(increments_until_it_is_killed) {
  const Store store = must_open(child_argument());
  while (true) {
    const auto done = increment(store);
    ASSERT_TRUE(done) << done.error().to_string();
    say(std::to_string(*done));
  }
}

// Nothing is written there, and who has read it is to run again all the same.
SEMPER_CHILD(declares_a_key_as_written) {
  const Store store = must_open(child_argument());
  const auto declared = wait_for([](Store in) -> Async<void> {
    co_return co_await in.transact([](Transaction& tx) -> Async<void> {
      tx.add_write_conflict_range(KeyRange::point("declared"));
      tx.set("another", "value");
      co_return Status{};
    });
  }(store));
  ASSERT_TRUE(declared) << declared.error().to_string();
  ASSERT_TRUE(wait_for(store.close()));
}

SEMPER_CHILD(takes_the_turn_and_keeps_it) {
  auto sidecar = try_sidecar(child_argument());
  ASSERT_TRUE(sidecar) << sidecar.error().to_string();
  Turn turn(**sidecar);
  ASSERT_TRUE(turn.acquire());
  say("mine");
  ::pause();
}

// Commits as the committer does, but dies before it tells anybody.
// The same a step later: it has told of the version, and has the turn.
SEMPER_CHILD(commits_and_announces_nothing) {
  const auto sidecar = open_sidecar(child_argument());
  Turn turn(*sidecar);
  ASSERT_TRUE(turn.acquire());
  commit_and_say_nothing(child_argument(), "silent", "changed");
  sidecar->shared().version.fetch_add(1);
  say("done");
  ::pause();
}

SEMPER_CHILD(commits_and_says_nothing) {
  commit_and_say_nothing(child_argument(), "silent", "changed");
  say("done");
  ::pause();
}

TEST(Processes, counting_together_loses_no_increment) {
  const TestPlace place;
  const Store store = must_open(place.url());
  constexpr int kProcesses = 4;
  std::vector<ChildProcess> children;
  for (int i = 0; i < kProcesses; ++i) children.emplace_back("increments_a_counter", place.url());
  for (int i = 0; i < kIncrements; ++i) ASSERT_TRUE(increment(store));
  for (auto& child : children) EXPECT_EQ(child.wait(), 0);
  EXPECT_EQ(number_in(*get(store, "counter")), (kProcesses + 1) * kIncrements);
}

TEST(Processes, what_another_process_declares_as_written_conflicts_with_earlier_readers) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(increment(store));
  const auto attempt = [&](bool between) {
    return wait_for([](Store in, std::string url, bool declares) -> Async<Versionstamp> {
      Transaction transaction = in.begin();
      SEMPER_CO_TRY_STATUS(co_await transaction.get("declared"));
      if (declares) {
        ChildProcess child("declares_a_key_as_written", url);
        EXPECT_EQ(child.wait(), 0);
      }
      transaction.set("mine", "value");
      co_return co_await transaction.commit();
    }(store, place.url(), between));
  };
  const auto beside = attempt(true);
  ASSERT_FALSE(beside);
  EXPECT_EQ(beside.error().kind(), ErrorKind::conflict);
  EXPECT_TRUE(attempt(false)) << "it was declared before this began";
}

TEST(Processes, what_others_have_changed_is_known_at_once) {
  const TestPlace place;
  const Store one = must_open(place.url());
  const Store other = must_open(place.url());
  const auto write = [](const Store& store, const char* key) {
    return wait_for([](Store in, Bytes to) -> Async<Versionstamp> {
      auto transaction = in.begin();
      transaction.set(to, "value");
      co_return co_await transaction.commit();
    }(store, key));
  };
  const auto* changes = find_recent_changes(one);
  ASSERT_NE(changes, nullptr);
  const auto first = write(one, "mine");
  ASSERT_TRUE(first);
  EXPECT_GE(changes->newest_known(), first->version());
  EXPECT_TRUE(changes->is_known_unchanged("mine", first->version()));
  const auto second = write(other, "yours");
  ASSERT_TRUE(second);
  EXPECT_GE(changes->newest_known(), second->version());
  EXPECT_FALSE(changes->is_known_unchanged("yours", first->version()));
  EXPECT_TRUE(changes->is_known_unchanged("yours", second->version()));
  // So is what they declare as written; nothing else is unknown then.
  const auto declared = wait_for([](Store in) -> Async<Versionstamp> {
    auto transaction = in.begin();
    transaction.add_write_conflict_range(KeyRange::point("yours"));
    transaction.set("other", "value");
    co_return co_await transaction.commit();
  }(other));
  ASSERT_TRUE(declared);
  EXPECT_FALSE(changes->is_known_unchanged("yours", second->version()));
  EXPECT_TRUE(changes->is_known_unchanged("yours", declared->version()));
  EXPECT_TRUE(changes->is_known_unchanged("mine", first->version()));
  ASSERT_TRUE(write(other, "mine"));
  EXPECT_FALSE(changes->is_known_unchanged("mine", first->version()));
  ASSERT_TRUE(wait_for(one.close()));
  ASSERT_TRUE(wait_for(other.close()));
}

TEST(Processes, a_process_killed_while_it_writes_loses_nothing_that_was_acknowledged) {
  const TestPlace place;
  const Store store = must_open(place.url());
  std::int64_t mine = 0;
  for (int round = 0; round < 8; ++round) {
    ChildProcess child("increments_until_it_is_killed", place.url());
    std::int64_t told = 0;
    for (int i = 0; i < 10 + round; ++i) {
      const std::string line = child.read_line().value_or("");
      ASSERT_FALSE(line.empty()) << "the child ended by itself";
      told = std::stoll(line);
      if (i % 3 == 0) {
        ASSERT_TRUE(increment(store));
        ++mine;
      }
    }
    child.kill_hard();
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
    ASSERT_GE(number_in(*get(store, "counter")), told);
    const auto mine_now = increment(store);
    ASSERT_TRUE(mine_now) << mine_now.error().to_string();
    ++mine;
  }
  EXPECT_GE(number_in(*get(store, "counter")), mine + 8 * 10);
  EXPECT_TRUE(wait_for(store.backend().check()));
}

TEST(Processes, the_turn_of_a_killed_process_goes_to_the_next) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  ChildProcess child("takes_the_turn_and_keeps_it", place.file());
  ASSERT_EQ(child.read_line(), "mine");
  child.kill_hard();
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  const auto next = put(store, "key", "2");
  ASSERT_TRUE(next) << next.error().to_string();
}

TEST(Processes, a_turn_that_is_never_given_back_ends_in_retry_and_not_in_waiting_forever) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ChildProcess child("takes_the_turn_and_keeps_it", place.file());
  ASSERT_EQ(child.read_line(), "mine");
  auto sidecar = try_sidecar(place.file());
  ASSERT_TRUE(sidecar) << sidecar.error().to_string();
  Turn turn(**sidecar, std::chrono::milliseconds(50));
  const auto refused = turn.acquire();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::retry);
}

TEST(Processes, a_commit_that_was_never_announced_still_fires_watches) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "silent", "unchanged"));
  auto transaction = store.begin();
  auto watch = wait_for(transaction.watch("silent"));
  ASSERT_TRUE(watch);
  ChildProcess child("commits_and_says_nothing", place.file());
  ASSERT_EQ(child.read_line(), "done");
  child.kill_hard();
  EXPECT_EQ(child.wait(), 128 + SIGKILL);
  EXPECT_TRUE(wait_for((*watch)->changed()));
}

// What is seen to change although its committer died before it told: by whoever looks, and by who
// commits next.
class WatchOfTheDead : public ::testing::Test {
 protected:
  WatchOfTheDead() {
    EXPECT_TRUE(put(store_, "silent", "unchanged"));
    auto transaction = store_.begin();
    auto watch = wait_for(transaction.watch("silent"));
    EXPECT_TRUE(watch);
    watch_ = std::move(*watch);
  }
  void let_it_die() {
    ChildProcess child("commits_and_announces_nothing", place_.file());
    ASSERT_EQ(child.read_line(), "done");
    child.kill_hard();
    EXPECT_EQ(child.wait(), 128 + SIGKILL);
  }
  void expect_told() {
    const auto told = wait_for(watch_->changed(system_clock().after(std::chrono::seconds(10))));
    EXPECT_TRUE(told) << told.error().to_string();
  }

  const TestPlace place_;
  const Store store_ = must_open(place_.url());
  std::unique_ptr<Watch> watch_;
};

TEST_F(WatchOfTheDead, who_looks_finds_a_committer_that_died_before_its_announcement) {
  let_it_die();
  expect_told();
}

TEST_F(WatchOfTheDead, who_commits_next_announces_for_a_committer_that_died) {
  const Store other = must_open(place_.url());
  let_it_die();
  ASSERT_TRUE(put(other, "other", "1"));
  expect_told();
}

// The first one waits for its turn to commit: the second one's loop goes on meanwhile.
TEST(Processes, a_second_close_waits_for_the_first_without_blocking_its_loop) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  const auto sidecar = open_sidecar(place.file());
  Turn turn(*sidecar);
  ASSERT_TRUE(turn.acquire());
  asio::io_context loop;
  std::optional<Result<Versionstamp>> committed;
  std::vector<Status> closed;
  asio::co_spawn(
      loop,
      [&]() -> Task<void> {
        auto transaction = store.begin();
        transaction.set("key", "2");
        committed = co_await transaction.commit();
      },
      asio::detached);
  loop.poll();
  for (int i = 0; i < 3; ++i) {
    asio::co_spawn(
        loop, [&]() -> Task<void> { closed.push_back(co_await store.close()); }, asio::detached);
    loop.poll();
  }
  turn.release();
  loop.run();
  ASSERT_TRUE(committed);
  EXPECT_TRUE(*committed) << "the turn was kept until somebody gave up: "
                          << committed->error().to_string();
  ASSERT_EQ(closed.size(), 3u);
  for (const auto& status : closed) EXPECT_TRUE(status) << status.error().to_string();
}

TEST(Processes, a_commit_that_was_never_announced_still_conflicts) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "silent", "unchanged"));
  auto transaction = store.begin();
  ASSERT_EQ(*wait_for(transaction.get("silent")), "unchanged");
  transaction.set("silent", "overwritten");
  ChildProcess child("commits_and_says_nothing", place.file());
  ASSERT_EQ(child.read_line(), "done");
  const auto refused = wait_for(transaction.commit());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::conflict);
  EXPECT_EQ(*get(store, "silent"), "changed");
}

TEST(Processes, a_store_whose_sidecar_was_deleted_says_so_and_stops) {
  const TestPlace place;
  testing::SimulatedClock clock;
  const Store store = must_open(place.url(), Env{.clock = &clock});
  ASSERT_TRUE(put(store, "key", "1"));
  ASSERT_EQ(::unlink((place.file() + "-semper").c_str()), 0);
  clock.advance(kPlaceInterval);  // by now it is noticed by whoever reads, and by whoever writes
  const auto read = get(store, "key");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::io);
  EXPECT_EQ(put(store, "key", "2").error().kind(), ErrorKind::io);
}

TEST(Processes, handles_that_are_closed_at_the_same_moment_leave_nothing_beside_the_store) {
  const TestPlace place;
  for (int round = 0; round < 50; ++round) {
    std::vector<Store> handles;
    for (int i = 0; i < 3; ++i) handles.push_back(must_open(place.url()));
    ASSERT_TRUE(put(handles[0], "key", "1"));
    std::vector<std::thread> closers;
    for (const Store& handle : handles) {
      closers.emplace_back([&handle] { EXPECT_TRUE(wait_for(handle.close())); });
    }
    for (auto& closer : closers) closer.join();
    ASSERT_EQ(::access((place.file() + "-semper").c_str(), F_OK), -1) << "round " << round;
  }
}

TEST(Processes, a_sidecar_that_a_crash_left_is_not_trusted) {
  const TestPlace place;
  {
    const Store store = must_open(place.url());
    ASSERT_TRUE(put(store, "key", "1"));
  }
  // All bits set: every lock taken, every version in the future.
  write_file(place.file() + "-semper", std::string(sizeof(SidecarLayout), '\xff'));
  const Store store = must_open(place.url());
  EXPECT_EQ(*get(store, "key"), "1");
  EXPECT_TRUE(put(store, "key", "2"));
}

TEST(Processes, more_handles_than_the_sidecar_holds_are_refused_by_number) {
  const TestPlace place;
  const Store store = must_open(place.url());
  std::vector<std::unique_ptr<Sidecar>> handles;
  Result<std::unique_ptr<Sidecar>> last = fail(ErrorKind::internal, "");
  for (std::size_t i = 1; i < kHandlesMaximum; ++i) {
    last = try_sidecar(place.file());
    ASSERT_TRUE(last) << i << ": " << last.error().to_string();
    handles.push_back(std::move(*last));
  }
  const auto refused = open_store_at(place.url());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted);
  EXPECT_NE(refused.error().message().find("128"), std::string::npos);
  ASSERT_TRUE(refused.error().limit());
  EXPECT_EQ(refused.error().limit()->value, 128u);
  handles.pop_back();
  EXPECT_TRUE(open_store_at(place.url()));
}

// The child of a fork has its parent's store in memory, and must neither use nor damage it.
TEST(Processes, a_forked_child_is_told_to_open_the_store_itself) {
  const TestPlace place;
  auto store = std::make_unique<Store>(must_open(place.url()));
  ASSERT_TRUE(put(*store, "key", "1"));
  auto transaction = store->begin();
  ASSERT_TRUE(wait_for(transaction.get("key")));
  const pid_t child = ::fork();
  if (child == 0) {
    const auto outcome = [&](Async<std::optional<Bytes>> work) {
      asio::io_context context;
      ErrorKind kind = ErrorKind::internal;
      asio::co_spawn(context, std::move(work), [&](std::exception_ptr, auto result) {
        if (!result) kind = result.error().kind();
      });
      context.run();
      return kind;
    };
    const bool old_refused = outcome(transaction.get("key")) == ErrorKind::unsupported;
    auto fresh = store->begin();
    const bool new_refused = outcome(fresh.get("key")) == ErrorKind::unsupported;
    store.reset();
    ::_exit(old_refused && new_refused ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_EQ(*wait_for(transaction.get("key")), "1");
  EXPECT_TRUE(put(*store, "key", "2"));
  EXPECT_EQ(*get(*store, "key"), "2");
}

}  // namespace
}  // namespace semper::sqlite
