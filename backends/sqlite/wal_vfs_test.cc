#include "wal_vfs.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace semper::sqlite {
namespace {

// A VFS that counts what reaches it, and fails the n-th write to a WAL.
struct Counting {
  sqlite3_vfs vfs{};
  sqlite3_vfs* below = nullptr;
  int wal_writes = 0;
  int wal_syncs = 0;
  int fail_wal_write = 0;  // 0: none
};

Counting* counting = nullptr;
sqlite3_io_methods wal_methods;
const sqlite3_io_methods* real_methods = nullptr;

int open_counting(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out) {
  auto* self = static_cast<Counting*>(vfs->pAppData);
  const int code = self->below->xOpen(self->below, name, file, flags, out);
  if (code == SQLITE_OK && (flags & SQLITE_OPEN_WAL) != 0) {
    real_methods = file->pMethods;
    wal_methods = *file->pMethods;
    wal_methods.xWrite = [](sqlite3_file* wal, const void* from, int size, sqlite3_int64 offset) {
      if (++counting->wal_writes == counting->fail_wal_write) return SQLITE_IOERR_WRITE;
      return real_methods->xWrite(wal, from, size, offset);
    };
    wal_methods.xSync = [](sqlite3_file* wal, int how) {
      ++counting->wal_syncs;
      return real_methods->xSync(wal, how);
    };
    file->pMethods = &wal_methods;
  }
  return code;
}

class WalVfs : public ::testing::Test {
 protected:
  WalVfs() {
    counting_.below = sqlite3_vfs_find(nullptr);
    counting_.vfs = *counting_.below;
    counting_.vfs.zName = "counting";
    counting_.vfs.pNext = nullptr;
    counting_.vfs.pAppData = &counting_;
    counting_.vfs.xOpen = open_counting;
    counting = &counting_;
    EXPECT_EQ(sqlite3_vfs_register(&counting_.vfs, 0), SQLITE_OK);
    path_ = ::testing::TempDir() + "/wal_vfs_" + std::to_string(::getpid()) + ".db";
    remove_files();
    name_ = *wal_vfs_on("counting");
    EXPECT_EQ(sqlite3_open_v2(path_.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                              name_.c_str()),
              SQLITE_OK);
    run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
        "CREATE TABLE t(k INTEGER PRIMARY KEY, v BLOB)");
  }
  ~WalVfs() override {
    sqlite3_close(db_);
    sqlite3_vfs_unregister(&counting_.vfs);
    remove_files();
  }

  int run(const char* sql) { return sqlite3_exec(db_, sql, nullptr, nullptr, nullptr); }

  void remove_files() {
    for (const char* suffix : {"", "-wal", "-shm"}) std::remove((path_ + suffix).c_str());
  }

  Counting counting_;
  std::string path_;
  std::string name_;
  sqlite3* db_ = nullptr;
};

constexpr const char* kManyPages =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40)"
    "INSERT INTO t(v) SELECT randomblob(1000) FROM n";

TEST_F(WalVfs, the_frames_of_one_commit_are_one_write_and_one_sync) {
  run("INSERT INTO t(v) VALUES(1)");
  const int writes = counting_.wal_writes;
  const int syncs = counting_.wal_syncs;
  ASSERT_EQ(run(kManyPages), SQLITE_OK);
  EXPECT_EQ(counting_.wal_writes - writes, 1);
  EXPECT_EQ(counting_.wal_syncs - syncs, 1);
}

TEST_F(WalVfs, the_sync_of_a_commit_can_be_put_off_and_its_frames_are_handed_on) {
  run("INSERT INTO t(v) VALUES(1)");
  const int writes = counting_.wal_writes;
  const int syncs = counting_.wal_syncs;
  {
    const DeferredSync deferred;
    ASSERT_EQ(run(kManyPages), SQLITE_OK);
  }
  EXPECT_EQ(counting_.wal_writes - writes, 1);
  EXPECT_EQ(counting_.wal_syncs - syncs, 0);
  ASSERT_EQ(run("INSERT INTO t(v) VALUES(2)"), SQLITE_OK);
  EXPECT_EQ(counting_.wal_syncs - syncs, 1);
}

TEST_F(WalVfs, the_first_block_of_a_log_that_begins_anew_is_synced_before_what_follows) {
  run("INSERT INTO t(v) VALUES(1)");
  ASSERT_EQ(run("PRAGMA wal_checkpoint(RESTART)"), SQLITE_OK);
  const int syncs = counting_.wal_syncs;
  const DeferredSync deferred;
  ASSERT_EQ(run(kManyPages), SQLITE_OK);
  EXPECT_EQ(counting_.wal_syncs - syncs, 1);
  ASSERT_EQ(run("INSERT INTO t(v) VALUES(2)"), SQLITE_OK);
  EXPECT_EQ(counting_.wal_syncs - syncs, 1);
}

TEST_F(WalVfs, a_commit_larger_than_one_write_is_whole) {
  ASSERT_EQ(run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
                "INSERT INTO t(v) SELECT randomblob(1000) FROM n"),
            SQLITE_OK);
  EXPECT_EQ(run("PRAGMA wal_checkpoint(TRUNCATE)"), SQLITE_OK);
  std::string verdict;
  sqlite3_exec(
      db_, "PRAGMA integrity_check",
      [](void* out, int, char** values, char**) {
        *static_cast<std::string*>(out) = values[0];
        return 0;
      },
      &verdict, nullptr);
  EXPECT_EQ(verdict, "ok");
}

TEST_F(WalVfs, another_connection_reads_what_was_committed) {
  ASSERT_EQ(run(kManyPages), SQLITE_OK);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  int rows = 0;
  sqlite3_exec(
      other, "SELECT count(*) FROM t",
      [](void* out, int, char** values, char**) {
        *static_cast<int*>(out) = std::atoi(values[0]);
        return 0;
      },
      &rows, nullptr);
  sqlite3_close(other);
  EXPECT_EQ(rows, 40);
}

TEST_F(WalVfs, a_write_that_fails_fails_the_commit_and_every_later_one) {
  ASSERT_EQ(run("INSERT INTO t(v) VALUES(1)"), SQLITE_OK);
  counting_.fail_wal_write = counting_.wal_writes + 1;
  EXPECT_NE(run("INSERT INTO t(v) VALUES(2)"), SQLITE_OK);
  EXPECT_NE(run("INSERT INTO t(v) VALUES(3)"), SQLITE_OK);
}

TEST(WalVfsName, an_unknown_vfs_below_is_an_error) {
  EXPECT_EQ(wal_vfs_on("nosuch").error().kind(), ErrorKind::invalid_argument);
}

}  // namespace
}  // namespace semper::sqlite
