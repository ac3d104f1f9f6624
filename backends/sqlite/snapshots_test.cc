// How long snapshots live, what they share, and that they never hold the log back for long.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "checkpointer.h"
#include "committer.h"
#include "parts_test_support.h"
#include "semper/testing/simulated_clock.h"

namespace semper::sqlite {
namespace {

using std::chrono::seconds;

std::int64_t size_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_size : 0;
}

TEST(Snapshots, many_snapshots_of_one_version_share_few_connections) {
  const TestPlace place;
  const Store store = must_open(place.url("readers=2"));
  ASSERT_TRUE(put(store, "key", "1"));
  std::vector<Transaction> open;
  for (int i = 0; i < 100; ++i) {
    open.push_back(store.begin());
    ASSERT_EQ(*wait_for(open.back().get("key")), "1");
  }
  EXPECT_LE(figure(store, "readers_in_use"), 2);
  EXPECT_GE(figure(store, "snapshots_shared"), 98);
}

TEST(Snapshots, a_reader_keeps_its_version_while_others_commit) {
  const TestPlace place;
  const Store store = must_open(place.url());
  std::vector<Transaction> open;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(put(store, "key", std::to_string(i)));
    open.push_back(store.begin());
    ASSERT_EQ(*wait_for(open.back().get("key")), std::to_string(i));
  }
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(*wait_for(open[static_cast<std::size_t>(i)].get("key")), std::to_string(i));
  }
}

TEST(Snapshots, a_snapshot_that_begins_after_another_has_ended_is_never_older) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "old"));
  {
    auto over_the_commit = store.begin();
    ASSERT_EQ(*wait_for(over_the_commit.get("key")), "old");
    commit_and_say_nothing(place.file(), "key", "new");
    auto first = store.begin();
    ASSERT_EQ(*wait_for(first.get("key")), "new");
  }
  for (int i = 0; i < 20; ++i) ASSERT_EQ(*get(store, "key"), "new") << "in look " << i;
}

TEST(Snapshots, a_snapshot_is_never_older_than_what_another_handle_was_given_before) {
  const TestPlace place;
  const Store here = must_open(place.url());
  const Store elsewhere = must_open(place.url());
  ASSERT_TRUE(put(here, "key", "old"));
  {
    auto over_the_commit = here.begin();
    ASSERT_EQ(*wait_for(over_the_commit.get("key")), "old");
    commit_and_say_nothing(place.file(), "key", "new");
    ASSERT_EQ(*get(elsewhere, "key"), "new");
  }
  EXPECT_EQ(*get(here, "key"), "new");
}

TEST(Snapshots, a_snapshot_waits_for_the_next_free_connection_where_all_are_busy) {
  const TestPlace place;
  const Store store = must_open(place.url("readers=1"));
  ASSERT_TRUE(put(store, "key", "1"));
  auto first = std::make_unique<Transaction>(store.begin());
  ASSERT_TRUE(wait_for(first->get("key")));
  ASSERT_TRUE(put(store, "key", "2"));
  OneShot<Result<std::optional<Bytes>>> answer;
  asio::co_spawn(
      test_scheduler().executor(),
      [](Store in, OneShot<Result<std::optional<Bytes>>> out) -> Task<void> {
        auto second = in.begin();
        out.set(co_await second.get("key"));
      }(store, answer),
      asio::detached);
  first.reset();
  const auto read = wait_for(answer.wait());
  ASSERT_TRUE(read);
  EXPECT_EQ(**read, "2");
}

TEST(Snapshots, a_snapshot_that_never_gets_a_connection_is_told_to_retry) {
  const TestPlace place;
  testing::SimulatedClock clock;
  const Store store = must_open(place.url("readers=1"), Env{.clock = &clock});
  ASSERT_TRUE(put(store, "key", "1"));
  auto first = store.begin();
  ASSERT_TRUE(wait_for(first.get("key")));
  ASSERT_TRUE(put(store, "key", "2"));
  OneShot<Result<std::optional<Bytes>>> answer;
  asio::co_spawn(
      test_scheduler().executor(),
      [](Store in, OneShot<Result<std::optional<Bytes>>> out) -> Task<void> {
        auto second = in.begin();
        out.set(co_await second.get("key"));
      }(store, answer),
      asio::detached);
  while (clock.pending_timers() == 0) std::this_thread::yield();
  clock.advance(seconds(6));
  const auto read = wait_for(answer.wait());
  ASSERT_TRUE(read);
  // Or it got the connection of the first one, whose time was over too.
  if (!*read) {
    EXPECT_EQ(read->error().kind(), ErrorKind::retry) << read->error().to_string();
    EXPECT_NE(read->error().message().find("readers="), std::string::npos);
  } else {
    EXPECT_EQ(**read, "2");
  }
  EXPECT_EQ(wait_for(first.get("key")).error().kind(), ErrorKind::timeout);
}

// Two wait for the only connection, and the loop of the first one is destroyed.
class TwoThatWait {
 public:
  TwoThatWait() {
    EXPECT_TRUE(put(store_, "key", "1"));
    EXPECT_TRUE(wait_for(holder_.emplace(store_.begin()).get("key")));
    EXPECT_TRUE(put(store_, "key", "2"));
    start(*first_, [](const auto&) {});
    start(second_, [this](const auto& read) { read_ = read; });
  }
  void destroy_the_first() { first_.reset(); }
  void release() { holder_.reset(); }
  void expect_the_second_reads() {
    second_.restart();
    second_.poll();
    ASSERT_TRUE(read_) << "it still waits";
    ASSERT_TRUE(*read_) << read_->error().to_string();
    EXPECT_EQ(**read_, "2");
  }

 private:
  void start(asio::io_context& loop,
             std::function<void(const Result<std::optional<Bytes>>&)> then) {
    asio::co_spawn(
        loop,
        [this, then = std::move(then)]() -> Task<void> {
          auto transaction = store_.begin();
          const auto read = co_await transaction.get("key");
          then(read);
        },
        asio::detached);
    loop.poll();
  }

  const TestPlace place_;
  testing::SimulatedClock clock_;
  const Store store_ = must_open(place_.url("readers=1"), Env{.clock = &clock_});
  std::optional<Transaction> holder_;
  std::optional<Result<std::optional<Bytes>>> read_;
  std::optional<asio::io_context> first_{std::in_place};
  asio::io_context second_;
};

TEST(Snapshots, a_connection_that_is_released_is_not_offered_to_who_has_gone) {
  TwoThatWait two;
  two.destroy_the_first();
  two.release();
  two.expect_the_second_reads();
}

TEST(Snapshots, a_connection_that_was_offered_to_who_went_before_it_ran_is_passed_on) {
  TwoThatWait two;
  two.release();
  two.destroy_the_first();
  two.expect_the_second_reads();
}

TEST(Snapshots, a_snapshot_past_its_time_gives_timeout_and_its_connection_back) {
  const TestPlace place;
  testing::SimulatedClock clock;
  const Store store = must_open(place.url(), Env{.clock = &clock});
  ASSERT_TRUE(put(store, "key", "1"));
  auto old = store.begin();
  ASSERT_TRUE(wait_for(old.get("key")));
  clock.advance(seconds(4));
  ASSERT_TRUE(wait_for(old.get("key")));
  clock.advance(seconds(2));
  const auto late = wait_for(old.get("key"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind(), ErrorKind::timeout);
  EXPECT_NE(late.error().message().find("transaction_duration"), std::string::npos);
  while (figure(store, "readers_in_use") > 0) {
    ASSERT_TRUE(put(store, "other", "x"));  // wakes whoever looks after old snapshots
  }
  EXPECT_EQ(figure(store, "snapshots_revoked"), 1);
}

TEST(Snapshots, a_long_reader_does_not_let_the_log_grow_without_bound) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  auto reader = store.begin();
  ASSERT_TRUE(wait_for(reader.get("key")));
  const Bytes value(std::size_t{1} << 20, 'v');
  std::int64_t largest = 0;
  for (int i = 0; i < 150; ++i) {
    ASSERT_TRUE(put(store, "big" + std::to_string(i % 8), value));
    largest = std::max(largest, size_of(place.file() + "-wal"));
  }
  EXPECT_GT(largest, kWalSoftBytes);
  EXPECT_LE(largest, kWalHardBytes + (std::int64_t{4} << 20));
  const auto read = wait_for(reader.get("key"));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind(), ErrorKind::timeout);
  EXPECT_GE(figure(store, "wal_restarts"), 1);
  ASSERT_TRUE(wait_for(store.close()));
  EXPECT_EQ(place.listing(), "store.db");
}

TEST(Snapshots, a_backup_by_the_sqlite3_tool_while_we_write_is_consistent) {
  if (std::system("sqlite3 --version >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "the sqlite3 tool is not installed";
  }
  const TestPlace place;
  const Store store = must_open(place.url());
  constexpr int kAccounts = 50;
  constexpr int kTotal = kAccounts * 100;
  ASSERT_TRUE(wait_for([](Store in) -> Async<Versionstamp> {
    auto transaction = in.begin();
    for (int i = 0; i < kAccounts; ++i) transaction.set("account" + std::to_string(i), "100");
    co_return co_await transaction.commit();
  }(store)));
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 0; !stop.load(); ++i) {
      const auto moved = wait_for([](Store in, int from, int to) -> Async<int> {
        co_return co_await in.transact([from, to](Transaction& tx) -> Async<int> {
          const Bytes giver = "account" + std::to_string(from);
          const Bytes taker = "account" + std::to_string(to);
          SEMPER_CO_TRY(const auto given, co_await tx.get(giver));
          SEMPER_CO_TRY(const auto taken, co_await tx.get(taker));
          tx.set(giver, std::to_string(std::stoi(*given) - 1));
          tx.set(taker, std::to_string(std::stoi(*taken) + 1));
          co_return 0;
        });
      }(store, i % kAccounts, (i * 7 + 1) % kAccounts));
      if (!moved && i % kAccounts != (i * 7 + 1) % kAccounts)
        ADD_FAILURE() << moved.error().to_string();
    }
  });
  for (int round = 0; round < 3; ++round) {
    const std::string copy = place.folder() + "/copy" + std::to_string(round) + ".db";
    const std::string command = "sqlite3 '" + place.file() + "' \".backup '" + copy + "'\"";
    EXPECT_EQ(std::system(command.c_str()), 0);
    const Store restored = must_open("sqlite:" + copy);
    const auto checked = wait_for(restored.backend().check());
    EXPECT_TRUE(checked) << checked.error().to_string();
    int sum = 0;
    for (int i = 0; i < kAccounts; ++i) {
      const auto balance = get(restored, "account" + std::to_string(i));
      ASSERT_TRUE(balance && *balance);
      sum += std::stoi(**balance);
    }
    EXPECT_EQ(sum, kTotal);
  }
  stop.store(true);
  writer.join();
}

}  // namespace
}  // namespace semper::sqlite
