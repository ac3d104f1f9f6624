// A stranger who reads for long: the log grows, everybody goes on, and is told who it is.
#include "log_readers.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "checkpointer.h"
#include "semper/base/log.h"
#include "semper/testing/child_process.h"
#include "test_place.h"

namespace semper::sqlite {
namespace {

using testing::child_argument;
using testing::ChildProcess;
using testing::hear;
using testing::say;

// What was logged while it lives.
class LogCapture {
 public:
  LogCapture() {
    set_log_sink([this](LogLevel, std::string_view, std::string_view message) {
      std::lock_guard lock(mutex_);
      lines_.emplace_back(message);
    });
  }
  ~LogCapture() { set_log_sink({}); }
  std::size_t count(const std::string& part) const {
    std::lock_guard lock(mutex_);
    std::size_t found = 0;
    for (const auto& line : lines_) found += line.find(part) != std::string::npos ? 1 : 0;
    return found;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

SEMPER_CHILD(reads_as_a_stranger) {
  sqlite3* handle = nullptr;
  ASSERT_EQ(sqlite3_open(child_argument().c_str(), &handle), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(handle, "BEGIN; SELECT * FROM meta", nullptr, nullptr, nullptr),
            SQLITE_OK);
  say(std::to_string(::getpid()));
  ::pause();
}

// When it is told to: in one transaction, until that is taken away, and then in the next.
SEMPER_CHILD(reads_on_and_on) {
  const Store store = must_open(child_argument());
  ASSERT_TRUE(put(store, "reader", "1"));
  say("ready");
  hear();
  wait_for([](Store in) -> Task<void> {
    while (true) {
      auto transaction = in.begin();
      while (co_await transaction.get("reader")) {
      }
    }
  }(store));
}

constexpr std::int64_t kMebi = std::int64_t{1} << 20;

Async<void> read_all(Store store) {
  auto transaction = store.begin();
  for (int i = 0; i < 8; ++i) {
    const Bytes key = "big" + std::to_string(i);
    SEMPER_CO_TRY_STATUS(co_await transaction.get(key));
  }
  co_return Status{};
}

// One or the other of three threads is always within a transaction.
SEMPER_CHILD(reads_all_the_time) {
  const Store store = must_open(child_argument());
  ASSERT_TRUE(put(store, "reader", "1"));
  say("ready");
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (true) static_cast<void>(wait_for(read_all(store)));
    });
  }
  for (auto& thread : threads) thread.join();
}

void write_mebibytes(const Store& store, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    // Other bytes each time: SQLite writes no page that stays as it is.
    const Bytes value(static_cast<std::size_t>(kMebi), static_cast<char>('a' + i / 8 % 26));
    const auto done = put(store, "big" + std::to_string(i % 8), value);
    ASSERT_TRUE(done) << done.error().to_string();
  }
}

TEST(LogReaders, a_stranger_who_reads_for_long_is_waited_for_once_and_named) {
  const TestPlace place;
  const LogCapture log;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  ChildProcess stranger("reads_as_a_stranger", place.file());
  const std::string pid = stranger.read_line().value_or("");
  ASSERT_FALSE(pid.empty());
  write_mebibytes(store, kWalHardBytes / kMebi + 40);
  EXPECT_GT(figure(store, "wal_bytes"), kWalHardBytes + 20 * kMebi) << "nothing was in the way";
  EXPECT_LE(figure(store, "wal_waits"), 1) << "each is 50 ms in which nobody commits";
  EXPECT_EQ(log.count("process " + pid + " ("), 1u);
  EXPECT_EQ(figure(store, "wal_held_by_pid"), std::stoll(pid));
  EXPECT_GE(figure(store, "wal_file_bytes"), kWalHardBytes);
  stranger.kill_hard();
  stranger.wait();
  // As soon as the thread that copies in the background lets it.
  for (int i = 0; i < 500 && figure(store, "wal_restarts") == 0; ++i) write_mebibytes(store, 1);
  EXPECT_GE(figure(store, "wal_restarts"), 1);
  EXPECT_LT(figure(store, "wal_bytes"), kWalHardBytes);
  EXPECT_EQ(log.count("is used from its front again"), 1u);
  write_mebibytes(store, 6);
  EXPECT_LT(figure(store, "wal_file_bytes"), kWalHardBytes) << "the disk got its room back";
  EXPECT_EQ(figure(store, "wal_held_by_pid"), 0);
}

TEST(LogReaders, when_the_stranger_has_gone_our_own_readers_are_waited_for_again) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  ChildProcess reader("reads_all_the_time", place.url());
  ASSERT_EQ(reader.read_line(), "ready");
  ChildProcess stranger("reads_as_a_stranger", place.file());
  ASSERT_TRUE(stranger.read_line());
  write_mebibytes(store, kWalHardBytes / kMebi + 40);
  EXPECT_GT(figure(store, "wal_bytes"), kWalHardBytes + 20 * kMebi) << "nothing was in the way";
  stranger.kill_hard();
  stranger.wait();
  for (int i = 0; i < 600 && figure(store, "wal_bytes") > kWalHardBytes; ++i) {
    write_mebibytes(store, 1);
  }
  EXPECT_LT(figure(store, "wal_bytes"), kWalHardBytes) << "the log grows without end";
  reader.kill_hard();
  reader.wait();
}

// The last moment to begin: that transaction is taken away at the end of its time, and so is the
// next, which began before the log was copied.
TEST(LogReaders, what_another_process_of_ours_reads_for_long_is_taken_away_from_it) {
  for (const std::int64_t begins_at : {std::int64_t{0}, kWalHardBytes / kMebi - 1}) {
    const TestPlace place;
    const Store store = must_open(place.url());
    ASSERT_TRUE(put(store, "key", "1"));
    ChildProcess reader("reads_on_and_on", place.url());
    ASSERT_EQ(reader.read_line(), "ready");
    write_mebibytes(store, begins_at);
    ASSERT_TRUE(reader.tell("."));
    write_mebibytes(store, kWalHardBytes / kMebi + 40 - begins_at);
    EXPECT_LT(figure(store, "wal_bytes"), kWalHardBytes) << begins_at;
    reader.kill_hard();
    reader.wait();
  }
}

// A disk of its own, which the log fills.
class SmallDisk {
 public:
  explicit SmallDisk(std::string folder) : folder_(std::move(folder)) {
    EXPECT_EQ(::mkdir(folder_.c_str(), 0755), 0);
    is_there_ = ::mount("none", folder_.c_str(), "tmpfs", 0, "size=8m") == 0;
  }
  ~SmallDisk() {
    if (is_there_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool is_there() const { return is_there_; }
  std::string file() const { return folder_ + "/store.db"; }

 private:
  const std::string folder_;
  bool is_there_ = false;
};

TEST(LogReaders, a_disk_that_the_log_has_filled_has_room_again_when_who_reads_has_gone) {
  const TestPlace place;
  const SmallDisk disk(place.folder() + "/small");
  if (!disk.is_there()) GTEST_SKIP() << "only root can mount a disk";
  const auto write = [](const Store& store, int round) {
    const Bytes value(std::size_t{64} << 10, static_cast<char>('a' + round % 26));
    return put(store, "key" + std::to_string(round % 8), value);
  };
  {
    const Store store = must_open("sqlite:" + disk.file());
    for (int i = 0; i < 8; ++i) ASSERT_TRUE(write(store, i));
    // Pages that are free in the file: copying the log into it needs no room.
    ASSERT_TRUE(put(store, "room", Bytes(std::size_t{1} << 20, 'r')));
    ASSERT_TRUE(put(store, "room", ""));
    ASSERT_TRUE(wait_for(store.close()));
  }
  const Store store = must_open("sqlite:" + disk.file());
  ChildProcess stranger("reads_as_a_stranger", disk.file());
  ASSERT_TRUE(stranger.read_line());
  int round = 8;
  auto done = write(store, ++round);
  while (done) done = write(store, ++round);
  EXPECT_EQ(done.error().kind(), ErrorKind::exhausted) << done.error().to_string();
  // The thread that copies in the background has tried in vain by then, and is asked by commits.
  for (int refused = 0; refused < 200; refused = done ? 0 : refused + 1) {
    done = write(store, ++round);
  }
  stranger.kill_hard();
  stranger.wait();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done && std::chrono::steady_clock::now() < end) done = write(store, ++round);
  EXPECT_TRUE(done) << done.error().to_string();
}

TEST(LogReaders, only_locks_of_readers_of_this_file_count) {
  const FileIdentity index{0x801, 131090};
  const std::string locks =
      "1: POSIX  ADVISORY  READ 11 08:01:131090 124 124\n"
      "1: -> POSIX  ADVISORY  WRITE 12 08:01:131090 124 124\n"
      "2: POSIX  ADVISORY  READ 13 08:01:131090 128 128\n"
      "3: POSIX  ADVISORY  READ 14 08:01:131091 124 124\n"
      "4: FLOCK  ADVISORY  WRITE 15 08:01:131090 0 EOF\n"
      "5: OFDLCK ADVISORY  READ -1 08:01:131090 0 0\n"
      "6: POSIX  ADVISORY  READ 16 08:01:131090 123 127\n"
      "7: POSIX  ADVISORY  WRITE 17 08:01:131090 120 122\n"
      "rubbish\n";
  EXPECT_EQ(pids_that_read(locks, index), (std::vector<pid_t>{11, 16}));
}

}  // namespace
}  // namespace semper::sqlite
