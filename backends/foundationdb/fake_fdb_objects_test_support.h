// What stands behind the C interface's opaque pointers where the library is a FakeFdb.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fake_fdb_test_support.h"

namespace semper::foundationdb {

// Lives longer than its user wants it (make_future).
struct FdbFuture {
  explicit FdbFuture(FakeFdb& of) : fdb(of) {}
  FakeFdb& fdb;
  std::mutex mutex;
  bool ready = false;
  bool destroyed = false;
  FdbError code = 0;
  std::int64_t number = 0;
  Bytes key;
  std::optional<Bytes> value;
  RangePage page;
  std::vector<FdbKeyValue> rows;
  FdbCallback callback = nullptr;
  void* parameter = nullptr;

  bool is_ready() {
    std::lock_guard lock(mutex);
    return ready;
  }

  void complete(FdbError with) {
    FdbCallback call = nullptr;
    {
      std::lock_guard lock(mutex);
      if (ready) return;
      ready = true;
      code = with;
      call = std::exchange(callback, nullptr);
    }
    if (call != nullptr) call(this, parameter);
  }
};

struct FdbDatabase {
  FakeFdb& fdb;
};

struct FdbTenant {
  FakeFdb& fdb;
  std::string name;
};

struct FdbTransaction {
  explicit FdbTransaction(FakeFdb& of) : fdb(of) {}
  FakeFdb& fdb;
  std::string tenant;
  std::int64_t timeout_ms = 0;
  bool special_writes = false;
  std::optional<Version> read_version;
  CommitRequest request;
  std::vector<std::string> new_tenants;
  std::vector<std::pair<Bytes, FdbFuture*>> watches;
  FdbFuture* versionstamp = nullptr;
  Bytes stamp;

  void reset() {
    read_version.reset();
    request = {};
    new_tenants.clear();
    watches.clear();
    versionstamp = nullptr;
    special_writes = false;
  }
};

}  // namespace semper::foundationdb
