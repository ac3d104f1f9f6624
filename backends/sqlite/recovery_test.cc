#include "recovery.h"

#include <pthread.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <future>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "env/sanitizer_test_support.h"
#include "fault_vfs.h"
#include "semper/base/log.h"
#include "semper/env/asio.h"
#include "semper/testing/child_process.h"
#include "test_place.h"

namespace semper::sqlite {
namespace {

// Fails the n-th operation of one kind on one file, once or for good.
class NthFault {
 public:
  NthFault(FaultVfs& vfs, FaultFile file, FaultOperation operation, int code) {
    vfs.set_plan({[this, file, operation, code](FaultFile on, FaultOperation doing) {
      if (on != file || doing != operation) return SQLITE_OK;
      const int count = seen_.fetch_add(1);
      return count >= first_.load() && count < first_.load() + length_.load() ? code : SQLITE_OK;
    }});
  }
  void fail_from_now(int after, int length) {
    seen_.store(0);
    first_.store(after);
    length_.store(length);
  }
  int seen() const { return seen_.load(); }

 private:
  std::atomic<int> seen_ = 0;
  std::atomic<int> first_ = 1 << 30;
  std::atomic<int> length_ = 0;
};

constexpr int kForGood = 1 << 29;

TEST(Recovery, a_failed_sync_of_a_commit_is_found_to_be_applied_or_not_and_never_half) {
  const TestPlace place;
  FaultVfs vfs("sync-once");
  NthFault fault(vfs, FaultFile::wal, FaultOperation::sync, SQLITE_IOERR_FSYNC);
  const std::string url = place.url("vfs=sync-once");
  bool is_there = false;
  {
    const Store store = must_open(url);
    ASSERT_TRUE(put(store, "before", "1"));
    fault.fail_from_now(0, 1);
    vfs.arm();
    const auto failed = put(store, "during", "2");
    EXPECT_EQ(figure(store, "recoveries"), 1);
    const auto found = get(store, "during");
    ASSERT_TRUE(found) << found.error().to_string();
    is_there = found->has_value();
    if (failed) {
      EXPECT_TRUE(is_there);
    } else {
      EXPECT_EQ(failed.error().kind(), ErrorKind::io) << failed.error().to_string();
      EXPECT_FALSE(is_there);
    }
    // The handle goes on.
    const auto after = put(store, "after", "3");
    ASSERT_TRUE(after) << after.error().to_string();
    EXPECT_EQ(*get(store, "before"), "1");
  }
  const Store again = must_open(place.url());
  EXPECT_EQ((*get(again, "during")).has_value(), is_there);
  EXPECT_EQ(*get(again, "after"), "3");
}

// A clean page may be dropped at any time, and one that could not be written is clean.
TEST(Recovery, a_log_that_the_kernel_forgot_while_it_was_rewritten_is_not_believed) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  StorePath path;
  path.file = place.file();
  EXPECT_TRUE(renew_log(path));
  const auto forget = [](const StorePath& log) {
    std::fstream file(log.wal(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-64, std::ios::end);
    file << std::string(64, '\0') << std::flush;
    return rewrite_log(log);
  };
  const Status renewed = renew_log(path, forget);
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().kind(), ErrorKind::io);
}

TEST(Recovery, a_failed_write_of_a_commit_leaves_nothing_of_it) {
  const TestPlace place;
  FaultVfs vfs("write-once");
  NthFault fault(vfs, FaultFile::wal, FaultOperation::write, SQLITE_IOERR_WRITE);
  const Store store = must_open(place.url("vfs=write-once"));
  vfs.arm();
  // Large enough for several writes to the log, of which each fails once.
  const Bytes value(200'000, 'v');
  for (int after = 0; after < 3; ++after) {
    ASSERT_TRUE(put(store, "before", std::to_string(after)));
    fault.fail_from_now(after, 1);
    const auto failed = put(store, "during", value);
    ASSERT_FALSE(failed) << "write " << after << " of the commit did not fail";
    EXPECT_EQ(failed.error().kind(), ErrorKind::io) << failed.error().to_string();
    EXPECT_EQ(*get(store, "during"), std::nullopt);
    EXPECT_EQ(*get(store, "before"), std::to_string(after));
  }
  EXPECT_EQ(figure(store, "recoveries"), 3);
}

TEST(Recovery, a_device_that_stays_broken_ends_the_handle_with_an_unknown_outcome) {
  const TestPlace place;
  FaultVfs vfs("sync-broken");
  NthFault fault(vfs, FaultFile::wal, FaultOperation::sync, SQLITE_IOERR_FSYNC);
  {
    const Store store = must_open(place.url("vfs=sync-broken"));
    ASSERT_TRUE(put(store, "before", "1"));
    fault.fail_from_now(0, kForGood);
    vfs.arm();
    const auto failed = put(store, "during", "2");
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().kind(), ErrorKind::outcome_unknown) << failed.error().to_string();
    const auto later = put(store, "later", "3");
    ASSERT_FALSE(later);
    EXPECT_EQ(later.error().kind(), ErrorKind::io) << later.error().to_string();
    const auto read = get(store, "before");
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().kind(), ErrorKind::io) << read.error().to_string();
    EXPECT_NE(read.error().message().find("the commit failed"), std::string::npos)
        << "it does not name the first failure: " << read.error().to_string();
    vfs.disarm();
  }
  const Store again = must_open(place.url());
  EXPECT_EQ(*get(again, "before"), "1");
  ASSERT_TRUE(put(again, "again", "4"));
}

TEST(Recovery, snapshots_and_watches_outlive_a_recovery) {
  const TestPlace place;
  FaultVfs vfs("sync-watch");
  NthFault fault(vfs, FaultFile::wal, FaultOperation::sync, SQLITE_IOERR_FSYNC);
  const Store store = must_open(place.url("vfs=sync-watch"));
  ASSERT_TRUE(put(store, "key", "1"));
  auto reader = store.begin();
  ASSERT_TRUE(wait_for(reader.get("key")));
  auto watch = wait_for(reader.watch("key"));
  ASSERT_TRUE(watch);
  fault.fail_from_now(0, 1);
  vfs.arm();
  static_cast<void>(put(store, "other", "2"));
  EXPECT_EQ(figure(store, "recoveries"), 1);
  const auto read = wait_for(reader.get("key"));
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, "1");
  ASSERT_TRUE(put(store, "key", "3"));
  EXPECT_TRUE(wait_for((*watch)->changed()));
}

TEST(Recovery, a_full_disk_refuses_the_commit_and_the_store_goes_on) {
  const TestPlace place;
  FaultVfs vfs("full");
  NthFault fault(vfs, FaultFile::wal, FaultOperation::write, SQLITE_FULL);
  const Store store = must_open(place.url("vfs=full"));
  ASSERT_TRUE(put(store, "before", "1"));
  fault.fail_from_now(0, 1);
  vfs.arm();
  const auto failed = put(store, "during", "2");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::exhausted) << failed.error().to_string();
  EXPECT_EQ(*get(store, "during"), std::nullopt);
  EXPECT_TRUE(put(store, "after", "3"));
  EXPECT_EQ(figure(store, "recoveries"), 0);
}

// A stranger that holds SQLite's lock makes commits wait a bounded time, then fail.
// Larger than the page cache, so that pages are written before the commit.
TEST(Recovery, a_disk_that_is_full_in_the_middle_of_a_transaction_refuses_it_alone) {
  const TestPlace place;
  FaultVfs vfs("full-early");
  NthFault fault(vfs, FaultFile::wal, FaultOperation::write, SQLITE_FULL);
  const Store store = must_open(place.url("vfs=full-early&cache_mib=1"));
  ASSERT_TRUE(put(store, "before", "1"));
  fault.fail_from_now(0, 1);
  vfs.arm();
  const auto failed = wait_for([](Store in) -> Async<Versionstamp> {
    auto transaction = in.begin();
    for (int i = 0; i < 8; ++i) {
      transaction.set("during" + std::to_string(i), Bytes(std::size_t{1} << 20, 'v'));
    }
    co_return co_await transaction.commit();
  }(store));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::exhausted) << failed.error().to_string();
  const auto after = put(store, "after", "3");
  EXPECT_TRUE(after) << after.error().to_string();
  EXPECT_EQ(*get(store, "during0"), std::nullopt);
  EXPECT_EQ(*get(store, "before"), "1");
}

TEST(Recovery, a_stranger_that_keeps_the_write_lock_gives_retry_and_not_an_endless_wait) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  sqlite3* stranger = nullptr;
  ASSERT_EQ(sqlite3_open(place.file().c_str(), &stranger), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(stranger, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr), SQLITE_OK);
  const auto refused = put(store, "key", "2");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::retry) << refused.error().to_string();
  EXPECT_EQ(*get(store, "key"), "1");
  ASSERT_EQ(sqlite3_exec(stranger, "ROLLBACK", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_TRUE(put(store, "key", "3"));
  sqlite3_close(stranger);
}

// The bytes of the log's index on which this process has a lock of SQLite's.
std::set<std::uint64_t> locked_bytes(const std::string& index) {
  struct stat status {};
  EXPECT_EQ(::stat(index.c_str(), &status), 0);
  const std::string wanted = ":" + std::to_string(status.st_ino);
  std::set<std::uint64_t> bytes;
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, advice, mode, file;
    pid_t pid = 0;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    words >> number >> kind >> advice >> mode >> pid >> file >> first >> last;
    if (!words || kind != "POSIX" || pid != ::getpid() || !file.ends_with(wanted)) continue;
    for (auto byte = first; byte <= last; ++byte) bytes.insert(byte);
  }
  return bytes;
}

// A descriptor of our own that is opened on the index and closed drops every lock of the process on
// it: another one then uses the log from its front, under a snapshot that reads it.
TEST(Recovery, a_recovery_leaves_the_locks_on_the_index_of_the_log) {
  const TestPlace place;
  FaultVfs vfs("sync-locks");
  NthFault fault(vfs, FaultFile::wal, FaultOperation::sync, SQLITE_IOERR_FSYNC);
  const Store store = must_open(place.url("vfs=sync-locks"));
  ASSERT_TRUE(put(store, "key", "1"));
  auto reader = store.begin();
  ASSERT_TRUE(wait_for(reader.get("key")));
  const auto before = locked_bytes(place.file() + "-shm");
  fault.fail_from_now(0, 1);
  vfs.arm();
  static_cast<void>(put(store, "other", "2"));
  EXPECT_EQ(figure(store, "recoveries"), 1);
  const auto after = locked_bytes(place.file() + "-shm");
  constexpr std::uint64_t kFirstReaderByte = 123;
  constexpr std::uint64_t kInUseByte = 128;
  EXPECT_TRUE(before.contains(kInUseByte)) << "not the bytes of this SQLite";
  EXPECT_TRUE(after.contains(kInUseByte)) << "who opens the index takes itself for the first";
  EXPECT_NE(after.lower_bound(kFirstReaderByte), after.find(kInUseByte)) << "no reader is marked";
}

// The system's clock, which the test moves on.
class ShiftedClock final : public Clock {
 public:
  void move_on(Duration by) { shift_.store(shift_.load() + by); }

  MonotonicTime now() const noexcept override { return system_clock().now() + shift_.load(); }
  WallTime wall_time() const noexcept override { return system_clock().wall_time(); }
  TimerId call_at(MonotonicTime when, std::function<void()> call) override {
    return system_clock().call_at(when - shift_.load(), std::move(call));
  }
  bool cancel(TimerId timer) noexcept override { return system_clock().cancel(timer); }

 private:
  std::atomic<Duration> shift_ = Duration::zero();
};

bool is_on_the_committer() {
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof name);
  return std::string_view(name) == "semper-commit";
}

Async<Versionstamp> declare_write(Store in, Bytes begin) {
  auto transaction = in.begin();
  transaction.set("counter", "1");
  Bytes end = begin + "~";
  transaction.add_write_conflict_range({std::move(begin), std::move(end)});
  co_return co_await transaction.commit();
}

// With some errors SQLite rolls the whole transaction back: the commit that followed was one of
// nothing, and was acknowledged. Whichever read of it fails: what is acknowledged is there.
TEST(Recovery, a_read_that_fails_while_old_write_conflicts_are_forgotten_loses_no_commit) {
  constexpr int kReadsMaximum = 100;
  constexpr int kConflicts = 20;
  constexpr std::size_t kLongKeyBytes = 300;  // so that they fill several pages
  bool was_reached = true;
  int read = 0;
  for (; was_reached && read < kReadsMaximum; ++read) {
    const TestPlace place;
    FaultVfs vfs("read-once");
    std::atomic<int> left = read;
    vfs.set_plan({[&left](FaultFile, FaultOperation doing) {
      if (doing != FaultOperation::read || !is_on_the_committer()) return SQLITE_OK;
      return left.fetch_sub(1) == 0 ? SQLITE_IOERR_READ : SQLITE_OK;
    }});
    ShiftedClock clock;
    Env env;
    env.clock = &clock;
    const Store store = must_open(place.url("vfs=read-once"), env);
    const Store other = must_open(place.url());
    for (int i = 0; i < kConflicts; ++i) {
      const Bytes key = Bytes(kLongKeyBytes, static_cast<char>('a' + i));
      ASSERT_TRUE(wait_for(declare_write(store, key)));
    }
    ASSERT_TRUE(put(other, "other", "1"));  // so that the writer reads anew
    clock.move_on(std::chrono::minutes(2));
    vfs.arm();
    const auto answer = put(store, "mine", "acknowledged");
    vfs.disarm();
    was_reached = left.load() < 0;
    const auto found = get(other, "mine");
    ASSERT_TRUE(found) << found.error().to_string();
    EXPECT_EQ(found->has_value(), answer.has_value())
        << "read " << read << ": "
        << (answer ? "acknowledged and lost" : answer.error().to_string());
  }
  EXPECT_FALSE(was_reached) << "more than " << kReadsMaximum << " reads";
  EXPECT_GT(read, 1) << "nothing was read";
}

void damage_row(const std::string& file, const std::string& key) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &handle), SQLITE_OK);
  const std::string update = "UPDATE kv SET checksum = 0 WHERE key = CAST('" + key + "' AS BLOB)";
  EXPECT_EQ(sqlite3_exec(handle, update.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_EQ(sqlite3_changes(handle), 1);
  sqlite3_close(handle);
}

// A is written, then C's write fails and the recovery finds that A is lost, then D is written: each
// is answered with what became of it, and not with what became of D.
TEST(Recovery, requests_that_are_committed_one_by_one_are_answered_each_with_its_own_fate) {
  const TestPlace place;
  {
    const Store store = must_open(place.url());
    ASSERT_TRUE(put(store, "bad", "12345678"));
    ASSERT_TRUE(wait_for(store.close()));
  }
  damage_row(place.file(), "bad");
  FaultVfs vfs("one-by-one");
  std::promise<void> is_held;
  std::promise<void> let_go;
  auto go_on = let_go.get_future();
  std::atomic<bool> holds = false;
  std::atomic<bool> counts = false;
  std::atomic<int> writes = 0;
  const std::string wal = place.file() + "-wal";
  std::uintmax_t flushed_bytes = 0;
  vfs.set_plan({[&](FaultFile on, FaultOperation doing) {
    if (on != FaultFile::wal) return SQLITE_OK;
    if (doing == FaultOperation::sync && holds.exchange(false)) {
      is_held.set_value();
      go_on.wait();
      counts.store(true);
    }
    constexpr int kWriteOfC = 1;
    if (doing != FaultOperation::write || !counts.load() || writes.fetch_add(1) != kWriteOfC) {
      return SQLITE_OK;
    }
    // The kernel could not write this, nor what was handed to it for A.
    std::fstream log(wal, std::ios::in | std::ios::out | std::ios::binary);
    log.seekp(static_cast<std::streamoff>(flushed_bytes));
    log << std::string(std::size_t{64} << 10, '\0') << std::flush;
    return SQLITE_IOERR_WRITE;
  }});
  const Store store = must_open(place.url("vfs=one-by-one"));
  vfs.arm();
  ASSERT_TRUE(put(store, "first", "1"));
  const std::vector<std::string> keys = {"blocker", "A", "bad", "C", "D"};
  std::vector<std::optional<Result<Versionstamp>>> answers(keys.size());
  asio::io_context loop;
  const auto start = [&](std::size_t number) {
    asio::co_spawn(
        loop,
        [&, number]() -> Task<void> {
          auto transaction = store.begin();
          if (keys[number] == "bad") {
            transaction.add(keys[number], 1);
          } else {
            transaction.set(keys[number], "1");
          }
          answers[number] = co_await transaction.commit();
        },
        asio::detached);
    loop.poll();
  };
  holds.store(true);
  start(0);
  is_held.get_future().wait();
  flushed_bytes = std::filesystem::file_size(wal);
  for (std::size_t i = 1; i < keys.size(); ++i) start(i);
  let_go.set_value();
  loop.run();
  vfs.disarm();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    ASSERT_TRUE(answers[i]);
    if (keys[i] == "bad") continue;
    const auto found = get(store, keys[i]);
    ASSERT_TRUE(found) << found.error().to_string();
    EXPECT_EQ(found->has_value(), answers[i]->has_value())
        << keys[i] << ": " << (*answers[i] ? "acknowledged" : answers[i]->error().to_string());
  }
  EXPECT_FALSE((*get(store, "A")).has_value()) << "nothing was lost: this tests nothing";
  EXPECT_EQ(figure(store, "recoveries"), 1);
}

TEST(Recovery, a_device_that_stays_broken_is_told_to_those_who_watch) {
  const TestPlace place;
  FaultVfs vfs("broken-watch");
  NthFault fault(vfs, FaultFile::wal, FaultOperation::sync, SQLITE_IOERR_FSYNC);
  const Store store = must_open(place.url("vfs=broken-watch"));
  ASSERT_TRUE(put(store, "key", "1"));
  auto reader = store.begin();
  const auto watch = wait_for(reader.watch("key"));
  ASSERT_TRUE(watch);
  fault.fail_from_now(0, kForGood);
  vfs.arm();
  EXPECT_FALSE(put(store, "other", "2"));
  EXPECT_FALSE(get(store, "key"));
  const auto deadline = system_clock().after(std::chrono::seconds(10));
  const auto told = wait_for((*watch)->changed(deadline));
  EXPECT_TRUE(told) << told.error().to_string();
  vfs.disarm();
}

// One thread finds out that the files are gone, and another one commits before all are told.
TEST(Recovery, a_commit_at_the_moment_in_which_the_store_is_found_deleted_gets_the_error) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  std::promise<void> found_out;
  std::promise<void> answered;
  auto is_answered = answered.get_future().share();
  std::atomic<bool> is_first = true;
  set_log_sink([&, is_answered](LogLevel, std::string_view, std::string_view message) {
    if (message.find("was deleted") == message.npos || !is_first.exchange(false)) return;
    found_out.set_value();
    is_answered.wait();
  });
  std::filesystem::remove(place.file());
  std::thread reader([&] { EXPECT_FALSE(get(store, "key")); });
  found_out.get_future().wait();
  const auto refused = put(store, "key", "2");
  answered.set_value();
  reader.join();
  set_log_sink({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::io) << refused.error().to_string();
}

// As the sqlite3 shell does: the last one who closes empties the log and removes it.
SEMPER_CHILD(looks_in_as_a_stranger) {
  sqlite3* stranger = nullptr;
  const bool read =
      sqlite3_open(testing::child_argument().c_str(), &stranger) == SQLITE_OK &&
      sqlite3_exec(stranger, "SELECT count(*) FROM kv", nullptr, nullptr, nullptr) == SQLITE_OK;
  sqlite3_close(stranger);
  testing::say(read ? "read" : "not read");
}

// A handle whose only connection fails once, and gets strangers whenever it opens another one.
class Strangers {
 public:
  Strangers(const TestPlace& place, const std::string& name, int code)
      : vfs_(name), store_(place.url("vfs=" + name)) {
    FaultPlan plan;
    plan.decide = [this, code](FaultFile on, FaultOperation doing) {
      const bool now = on == FaultFile::wal && doing == FaultOperation::write;
      return now && !failed_.exchange(true) ? code : SQLITE_OK;
    };
    plan.on_open = [this, &place](FaultFile file) {
      if (file != FaultFile::database) return;
      testing::ChildProcess stranger("looks_in_as_a_stranger", place.file());
      EXPECT_EQ(stranger.read_line(), "read");
      EXPECT_EQ(stranger.wait(), 0);
      ++seen_;
    };
    vfs_.set_plan(std::move(plan));
  }
  const std::string& store() const { return store_; }
  void come() { vfs_.arm(); }
  void go() { vfs_.disarm(); }
  int seen() const { return seen_; }

 private:
  FaultVfs vfs_;
  const std::string store_;
  std::atomic<bool> failed_ = false;
  std::atomic<int> seen_ = 0;
};

TEST(Recovery, a_store_that_is_opened_again_keeps_its_log_whoever_else_closes_it_meanwhile) {
  for (const int code : {SQLITE_IOERR_WRITE, SQLITE_FULL}) {
    const TestPlace place;
    Strangers strangers(place, "strangers" + std::to_string(code), code);
    const Store store = must_open(strangers.store());
    ASSERT_TRUE(put(store, "before", "1"));
    strangers.come();
    EXPECT_FALSE(put(store, "during", "2"));
    strangers.go();
    EXPECT_GT(strangers.seen(), 0);
    const auto after = put(store, "after", "3");
    ASSERT_TRUE(after) << after.error().to_string();
    EXPECT_EQ(*get(store, "before"), "1");
    EXPECT_EQ(*get(store, "during"), std::nullopt);
  }
}

TEST(Recovery, a_writer_that_cannot_be_opened_again_is_opened_with_the_next_commit) {
  SEMPER_LEAVES_NO_DESCRIPTOR();
  const TestPlace place;
  FaultVfs vfs("no-writer");
  std::atomic<bool> is_full = true;
  vfs.set_plan({[&](FaultFile on, FaultOperation doing) {
    const bool now = on == FaultFile::wal && doing == FaultOperation::write;
    return now && is_full.exchange(false) ? SQLITE_FULL : SQLITE_OK;
  }});
  const Store store = must_open(place.url("vfs=no-writer"));
  ASSERT_TRUE(put(store, "before", "1"));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  vfs.arm();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto refused = put(store, "during", "2");
  const auto again = put(store, "during", "2");
  ::setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted) << refused.error().to_string();
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message().find("files open"), std::string::npos)
      << again.error().to_string();
  const auto after = put(store, "after", "3");
  ASSERT_TRUE(after) << after.error().to_string();
  EXPECT_EQ(*get(store, "before"), "1");
  EXPECT_EQ(*get(store, "during"), std::nullopt);
}

}  // namespace
}  // namespace semper::sqlite
