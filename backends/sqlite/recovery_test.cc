#include "recovery.h"

#include <sqlite3.h>

#include <atomic>
#include <fstream>
#include <string>

#include "fault_vfs.h"
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

}  // namespace
}  // namespace semper::sqlite
