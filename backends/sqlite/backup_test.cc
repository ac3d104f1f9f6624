// Backups of a store that is in use: they end, are one state, open as a store, and leave nothing
// half-way.
#include "backup.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "checkpointer.h"
#include "log_readers.h"
#include "parts_test_support.h"
#include "semper/testing/child_process.h"
#include "test_place.h"

namespace semper::sqlite {
namespace {

using testing::child_argument;
using testing::ChildProcess;
using testing::say;

namespace fs = std::filesystem;

Result<BackupReport> back_up(const Store& store, const std::string& to, BackupOptions how = {}) {
  return wait_for(store.backend().backup(to, std::move(how)));
}

// Rows of which a backup copies in more than one step.
void fill(const Store& store, int mebibytes) {
  for (int i = 0; i < mebibytes; ++i) {
    ASSERT_TRUE(put(store, "filling" + std::to_string(i), Bytes(std::size_t{1} << 20, 'f')));
  }
}

constexpr int kAccounts = 50;
constexpr int kTotal = kAccounts * 100;

// Moves amounts between accounts until it is told to stop.
void move_money(const Store& store, const std::atomic<bool>& stop, std::atomic<int>& moved) {
  Scheduler scheduler;
  for (int i = 0; !stop.load(); ++i) {
    const auto done = scheduler.block_on([](Store in, int from, int to) -> Async<int> {
      co_return co_await in.transact([from, to](Transaction& tx) -> Async<int> {
        const Bytes giver = "account" + std::to_string(from);
        const Bytes taker = "account" + std::to_string(to);
        SEMPER_CO_TRY(const auto given, co_await tx.get(giver));
        SEMPER_CO_TRY(const auto taken, co_await tx.get(taker));
        tx.set(giver, std::to_string(std::stoi(*given) - 1));
        tx.set(taker, std::to_string(std::stoi(*taken) + 1));
        co_return 0;
      });
    }(store, i % kAccounts, (i + 1) % kAccounts));
    if (done) moved.fetch_add(1);
  }
}

int sum_of_accounts(const Store& store) {
  int sum = 0;
  for (int i = 0; i < kAccounts; ++i) {
    const auto balance = get(store, "account" + std::to_string(i));
    sum += balance && *balance ? std::stoi(**balance) : -1'000'000;
  }
  return sum;
}

SEMPER_CHILD(moves_money) {
  const Store store = must_open(child_argument());
  const std::atomic<bool> stop = false;
  std::atomic<int> moved = 0;
  std::thread teller([&] {
    while (moved.load() == 0) std::this_thread::yield();
    say("moving");
  });
  move_money(store, stop, moved);  // until it is killed
  teller.join();
}

TEST(Backup, a_backup_ends_and_is_one_state_while_two_processes_write_all_the_time) {
  const TestPlace place;
  const Store store = must_open(place.url());
  for (int i = 0; i < kAccounts; ++i) {
    ASSERT_TRUE(put(store, "account" + std::to_string(i), "100"));
  }
  fill(store, 8);
  ChildProcess other("moves_money", place.url());
  ASSERT_EQ(other.read_line(), "moving");
  std::atomic<bool> stop = false;
  std::atomic<int> moved = 0;
  std::thread mine([&] { move_money(store, stop, moved); });
  Version last = 0;
  for (int round = 0; round < 3; ++round) {
    const std::string copy = place.folder() + "/copy" + std::to_string(round) + ".db";
    const auto report = back_up(store, copy);
    ASSERT_TRUE(report) << report.error().to_string();
    EXPECT_GT(report->version, last);
    EXPECT_EQ(report->bytes, fs::file_size(copy));
    EXPECT_NE(report->checked.find("keys"), std::string::npos) << report->checked;
    EXPECT_EQ(contents_of(copy).substr(18, 2), std::string("\2\2")) << "its journal mode";
    last = report->version;
    const Store restored = must_open("sqlite:" + copy);
    EXPECT_EQ(sum_of_accounts(restored), kTotal);
    EXPECT_TRUE(put(restored, "key", "value"));
    ASSERT_TRUE(wait_for(restored.close()));
    const int before = moved.load();
    while (moved.load() == before) std::this_thread::yield();
  }
  stop.store(true);
  mine.join();
  EXPECT_EQ(place.listing().find("-semper-part"), std::string::npos) << place.listing();
}

TEST(Backup, no_writer_waits_for_a_backup_although_the_log_grows_past_its_bound) {
  const TestPlace place;
  const Store store = must_open(place.url());
  fill(store, 4);
  bool written = false;
  BackupOptions how;
  how.on_progress = [&](const BackupProgress&) {
    if (std::exchange(written, true)) return;
    Scheduler scheduler;  // in the middle of the copy
    for (std::int64_t i = 0; i < kWalHardBytes / (1 << 20) + 10; ++i) {
      const auto done = scheduler.block_on([](Store in, Bytes value) -> Async<Versionstamp> {
        auto transaction = in.begin();
        transaction.set("big", value);
        co_return co_await transaction.commit();
      }(store, Bytes(std::size_t{1} << 20, static_cast<char>('a' + i % 26))));
      ASSERT_TRUE(done) << done.error().to_string();
    }
  };
  const auto report = back_up(store, place.folder() + "/copy.db", std::move(how));
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_GT(figure(store, "wal_bytes"), kWalHardBytes);
  EXPECT_LE(figure(store, "wal_waits"), 1);
  for (int i = 0; i < 500 && figure(store, "wal_restarts") == 0; ++i) fill(store, 2);
  EXPECT_GE(figure(store, "wal_restarts"), 1);
  EXPECT_FALSE(*get(must_open("sqlite:" + place.folder() + "/copy.db"), "big"));
}

TEST(Backup, progress_grows_to_the_whole) {
  const TestPlace place;
  const Store store = must_open(place.url());
  fill(store, 4);
  std::vector<BackupProgress> seen;
  BackupOptions how;
  how.on_progress = [&](const BackupProgress& progress) { seen.push_back(progress); };
  ASSERT_TRUE(back_up(store, place.folder() + "/copy.db", std::move(how)));
  ASSERT_GE(seen.size(), 4u);
  for (std::size_t i = 1; i + 1 < seen.size(); ++i) {
    EXPECT_GT(seen[i].done_bytes, seen[i - 1].done_bytes);
  }
  EXPECT_EQ(seen[seen.size() - 2].done_bytes, seen[seen.size() - 2].total_bytes);
  EXPECT_EQ(seen.back().step, BackupProgress::Step::verify);
}

TEST(Backup, a_backup_that_is_told_to_stop_leaves_nothing) {
  for (const auto when : {BackupProgress::Step::copy, BackupProgress::Step::verify}) {
    const TestPlace place;
    const Store store = must_open(place.url());
    fill(store, 4);
    StopSource source;
    BackupOptions how;
    how.stop = source.get_token();
    how.on_progress = [&](const BackupProgress& progress) {
      if (progress.step == when) source.request_stop();
    };
    const auto ended = back_up(store, place.folder() + "/copy.db", std::move(how));
    ASSERT_FALSE(ended);
    EXPECT_EQ(ended.error().kind(), ErrorKind::cancelled) << ended.error().to_string();
    ASSERT_TRUE(wait_for(store.close()));
    EXPECT_EQ(place.listing(), "store.db");
  }
}

TEST(Backup, a_backup_whose_caller_is_cancelled_calls_nobody_after_that) {
  const TestPlace place;
  const Store store = must_open(place.url());
  fill(store, 4);
  OneShot<std::monostate> begun;
  OneShot<ErrorKind> ended;
  std::atomic<bool> cancelled = false;
  std::atomic<bool> over = false;
  std::atomic<int> late = 0;
  asio::cancellation_signal signal;
  const auto executor = asio::make_strand(test_scheduler().executor());
  asio::co_spawn(
      executor,
      [&]() -> Async<BackupReport> {
        BackupOptions how;
        how.on_progress = [&](const BackupProgress&) {
          begun.set({});
          while (!cancelled.load()) std::this_thread::yield();
          if (over.load()) late.fetch_add(1);
        };
        co_return co_await store.backend().backup(place.folder() + "/copy.db", std::move(how));
      },
      asio::bind_cancellation_slot(
          signal.slot(), [&](std::exception_ptr, Result<BackupReport> report) {
            over.store(true);
            ended.set(report ? ErrorKind::internal : report.error().kind());
          }));
  ASSERT_TRUE(wait_for(begun.wait()));
  asio::post(executor, [&] {
    cancelled.store(true);
    signal.emit(asio::cancellation_type::all);
  });
  const auto kind = wait_for(ended.wait());
  ASSERT_TRUE(kind);
  EXPECT_TRUE(*kind == ErrorKind::cancelled || *kind == ErrorKind::internal) << "or it was done";
  EXPECT_EQ(late.load(), 0);
  ASSERT_TRUE(wait_for(store.close()));
  EXPECT_EQ(place.listing().find("-semper-part"), std::string::npos) << place.listing();
}

TEST(Backup, closing_the_store_ends_a_running_backup) {
  const TestPlace place;
  const Store store = must_open(place.url());
  fill(store, 4);
  OneShot<std::monostate> begun;
  std::atomic<bool> go_on = false;
  BackupOptions how;
  how.on_progress = [&](const BackupProgress&) {
    begun.set({});
    while (!go_on.load()) std::this_thread::yield();
  };
  OneShot<ErrorKind> ended;
  asio::co_spawn(
      test_scheduler().executor(),
      [](Store in, std::string to, BackupOptions options, OneShot<ErrorKind> out) -> Task<void> {
        const auto report = co_await in.backend().backup(std::move(to), std::move(options));
        out.set(report ? ErrorKind::internal : report.error().kind());
      }(store, place.folder() + "/copy.db", std::move(how), ended),
      asio::detached);
  ASSERT_TRUE(wait_for(begun.wait()));
  const auto second = back_up(store, place.folder() + "/second.db");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind(), ErrorKind::retry) << "one at a time";
  std::thread closing([&] { EXPECT_TRUE(wait_for(store.close())); });
  go_on.store(true);
  closing.join();
  const auto kind = wait_for(ended.wait());
  ASSERT_TRUE(kind);
  EXPECT_TRUE(*kind == ErrorKind::retry || *kind == ErrorKind::internal) << "or it was done";
  EXPECT_EQ(place.listing().find("-semper-part"), std::string::npos) << place.listing();
}

TEST(Backup, an_existing_file_is_left_as_it_is) {
  const TestPlace place;
  const Store store = must_open(place.url());
  const std::string copy = place.folder() + "/copy.db";
  write_file(copy, "precious");
  for (const auto& to : {copy, place.file()}) {
    const auto refused = back_up(store, to);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::already_exists) << refused.error().to_string();
  }
  EXPECT_EQ(contents_of(copy), "precious");
  const auto nowhere = back_up(store, place.folder() + "/none/copy.db");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().kind(), ErrorKind::not_found) << nowhere.error().to_string();
}

// What a crash would leave of the store that is open there.
void leave_as_after_a_crash(const std::string& file, const std::string& to) {
  for (const char* suffix : {"", "-wal"}) {
    write_file(to + suffix, contents_of(file + suffix));
  }
}

TEST(Backup, a_backup_takes_no_log_that_another_file_left_beside_its_name) {
  const TestPlace place;
  const std::string copy = place.folder() + "/copy.db";
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "old"));
  ASSERT_TRUE(back_up(store, copy));
  ASSERT_TRUE(put(store, "key", "new"));
  const std::string crashed = place.folder() + "/crashed.db";
  leave_as_after_a_crash(place.file(), crashed);
  EXPECT_EQ(*get(must_open("sqlite:" + crashed), "key"), "new");
  // Restored as in haste: over the store, and not over its log.
  leave_as_after_a_crash(place.file(), crashed);
  fs::copy_file(copy, crashed, fs::copy_options::overwrite_existing);
  for (const char* access : {"", "?access=read"}) {
    const auto refused = open_store_at("sqlite:" + crashed + access);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::corrupt) << refused.error().to_string();
    EXPECT_NE(refused.error().message().find(crashed + "-wal"), std::string::npos);
  }
  fs::remove(crashed + "-wal");
  EXPECT_EQ(*get(must_open("sqlite:" + crashed), "key"), "old");
}

TEST(Backup, a_backup_in_use_has_a_log_as_other_stores_have) {
  const TestPlace place;
  const std::string copy = place.folder() + "/copy.db";
  {
    const Store store = must_open(place.url());
    ASSERT_TRUE(put(store, "key", "old"));
    ASSERT_TRUE(back_up(store, copy));
  }
  const Store restored = must_open("sqlite:" + copy);
  ASSERT_TRUE(put(restored, "key", "new"));
  leave_as_after_a_crash(copy, place.folder() + "/crashed.db");
  EXPECT_EQ(*get(must_open("sqlite:" + place.folder() + "/crashed.db"), "key"), "new");
}

TEST(Backup, no_backup_is_made_beside_a_log_that_is_there_already) {
  const TestPlace place;
  const Store store = must_open(place.url());
  for (const char* suffix : {"-wal", "-journal"}) {
    const std::string left = place.folder() + "/copy.db" + suffix;
    write_file(left, "what a crash left");
    const auto refused = back_up(store, place.folder() + "/copy.db");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::already_exists) << refused.error().to_string();
    EXPECT_EQ(contents_of(left), "what a crash left");
    fs::remove(left);
  }
  EXPECT_TRUE(back_up(store, place.folder() + "/copy.db"));
}

SEMPER_CHILD(makes_a_backup_and_stays_in_it) {
  const std::string url = child_argument();
  const Store store = must_open(url);
  BackupOptions how;
  how.on_progress = [](const BackupProgress&) {
    say("copying");
    ::pause();
  };
  static_cast<void>(back_up(store, url.substr(std::string("sqlite:").size()) + ".copy", how));
}

TEST(Backup, two_backups_to_one_name_exclude_each_other_and_a_killed_one_is_replaced) {
  const TestPlace place;
  const Store store = must_open(place.url());
  fill(store, 3);
  const std::string copy = place.file() + ".copy";
  ChildProcess child("makes_a_backup_and_stays_in_it", place.url());
  ASSERT_EQ(child.read_line(), "copying");
  const auto refused = back_up(store, copy);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::conflict) << refused.error().to_string();
  EXPECT_TRUE(fs::exists(copy + "-semper-part"));
  child.kill_hard();
  child.wait();
  EXPECT_TRUE(fs::exists(copy + "-semper-part")) << "what it left";
  const auto report = back_up(store, copy);
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_FALSE(fs::exists(copy + "-semper-part"));
  EXPECT_TRUE(wait_for(must_open("sqlite:" + copy).backend().check()));
}

TEST(Backup, a_backup_of_a_damaged_store_is_not_kept) {
  const TestPlace place;
  {
    const Store store = must_open(place.url());
    ASSERT_TRUE(put(store, "key", "a value that will decay"));
    ASSERT_TRUE(wait_for(store.close()));
  }
  auto contents = contents_of(place.file());
  contents[contents.find("a value that")] = 'A';
  write_file(place.file(), contents);
  const Store store = must_open(place.url());
  const auto refused = back_up(store, place.folder() + "/copy.db");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::corrupt) << refused.error().to_string();
  EXPECT_FALSE(fs::exists(place.folder() + "/copy.db"));
}

TEST(Backup, the_copy_has_the_mode_of_the_store) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_EQ(::chmod(place.file().c_str(), 0640), 0);
  const std::string copy = place.folder() + "/odd name?#%.db";
  ASSERT_TRUE(back_up(store, copy));
  struct stat status {};
  ASSERT_EQ(::stat(copy.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0640u);
}

TEST(Backup, a_progress_callback_that_throws_ends_the_backup_and_not_the_process) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  const auto before = place.listing();
  BackupOptions options;
  options.on_progress = [](const BackupProgress&) { throw std::runtime_error("no terminal"); };
  const auto refused = back_up(store, place.folder() + "/copy", options);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("no terminal"), std::string::npos)
      << refused.error().to_string();
  EXPECT_EQ(place.listing(), before) << "something is left of it";
  EXPECT_TRUE(back_up(store, place.folder() + "/copy"));
}

SEMPER_CHILD(stays_in_a_backup) {
  const Store store = must_open("sqlite:" + child_argument());
  BackupOptions options;
  options.on_progress = [](const BackupProgress&) {
    say("copying");
    ::pause();
  };
  static_cast<void>(back_up(store, child_argument() + "-copy", options));
}

TEST(Backup, one_that_was_killed_is_not_in_the_way_of_the_log_any_more) {
  const TestPlace place;
  const Store store = must_open(place.url());
  ASSERT_TRUE(put(store, "key", "1"));
  const auto sidecar = open_sidecar(place.file());
  SqliteOptions options;
  options.path.file = place.file();
  ChildProcess child("stays_in_a_backup", place.file());
  ASSERT_EQ(child.read_line(), "copying");
  EXPECT_TRUE(log_readers(options, *sidecar).anybody_stays());
  child.kill_hard();
  child.wait();
  const auto readers = log_readers(options, *sidecar);
  EXPECT_FALSE(readers.anybody_stays()) << readers.to_string();
}

}  // namespace
}  // namespace semper::sqlite
