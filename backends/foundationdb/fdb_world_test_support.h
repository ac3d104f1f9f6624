// What the tests of this backend share: a store on a fake FoundationDB, and a way to run
// coroutines.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

#include "backend.h"
#include "env/shortage_test_support.h"
#include "fake_fdb_test_support.h"
#include "semper/env/scheduler.h"
#include "semper/store/store.h"
#include "semper/testing/temporary_folder.h"

namespace semper::foundationdb {

using testing::NoThreads;

// Runs coroutines on threads of its own.
inline Scheduler& test_scheduler() {
  static Scheduler scheduler({.threads = 2, .name = "fdb-test"});
  return scheduler;
}

template <class T>
T wait_for(Task<T> task) {
  return test_scheduler().block_on(std::move(task));
}

// A fake cluster with its client, and a cluster file. When it goes, nothing may be left of what was
// asked of the library.
class FdbWorld {
 public:
  explicit FdbWorld(int newest_api = kApiVersionMaximum) : file_(make_cluster_file(folder_)) {
    auto started = Client::start(FakeFdb::api(newest_api), {});
    if (!started) throw std::runtime_error(started.error().to_string());
    client_ = *started;
  }
  ~FdbWorld() {
    store_.reset();
    backend_.reset();
    const auto counts = leftovers_ ? FakeFdb::Counts() : drained();
    EXPECT_EQ(counts.futures, 0) << "futures were not destroyed";
    EXPECT_EQ(counts.transactions, 0) << "transactions were not destroyed";
    EXPECT_EQ(counts.databases, 0) << "databases were not destroyed";
    EXPECT_EQ(counts.tenants, 0) << "tenants were not destroyed";
    client_->stop();
  }

  FakeFdb& fdb() { return fdb_; }
  const std::shared_ptr<Client>& client() const { return client_; }
  const std::string& cluster_file() const { return file_; }

  FoundationDbOptions options() const {
    FoundationDbOptions options;
    options.url = "fdb:" + file_;
    options.cluster_file = file_;
    return options;
  }

  Result<std::shared_ptr<Backend>> try_open(FoundationDbOptions options, Env env = {}) {
    return wait_for(FoundationDbBackend::open(client_, std::move(options), env));
  }

  std::shared_ptr<Backend> backend(Env env = {}) {
    if (!backend_) {
      auto opened = try_open(options(), env);
      if (!opened) throw std::runtime_error(opened.error().to_string());
      backend_ = *opened;
    }
    return backend_;
  }

  Store& store(Env env = {}) {
    if (!store_) store_ = std::make_unique<Store>(backend(env), env);
    return *store_;
  }

  std::shared_ptr<Connection> connection(Env env = {}) {
    auto database = Database::open(client_, options());
    if (!database) throw std::runtime_error(database.error().to_string());
    return std::make_shared<Connection>(*database, env);
  }

  void forget_store() {
    store_.reset();
    backend_.reset();
  }

  // This test leaves something behind on purpose.
  void expect_leftovers() { leftovers_ = true; }

  // Waits until `what` holds, for work of the network's thread; a minute at most.
  template <class Condition>
  static bool eventually(Condition what) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!what()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

 private:
  static std::string make_cluster_file(const testing::TemporaryFolder& folder) {
    std::string path = folder.path("fdb.cluster");
    std::ofstream file(path);
    file << "test:id@127.0.0.1:4500\n";
    if (!file.flush()) throw std::runtime_error("no cluster file for the test");
    return path;
  }

  FakeFdb::Counts drained() {
    static_cast<void>(eventually([this] {
      const auto counts = fdb_.counts();
      return counts.futures == 0 && counts.transactions == 0 && counts.databases == 0;
    }));
    return fdb_.counts();
  }

  FakeFdb fdb_;
  bool leftovers_ = false;
  const testing::TemporaryFolder folder_;
  const std::string file_;
  std::shared_ptr<Client> client_;
  std::shared_ptr<Backend> backend_;
  std::unique_ptr<Store> store_;
};

inline std::int64_t figure(const Backend& backend, std::string_view name) {
  for (const auto& [key, value] : backend.statistics()) {
    if (key == name) return value;
  }
  throw std::runtime_error("no such figure: " + std::string(name));
}

inline Result<Versionstamp> put(const Store& store, Bytes key, Bytes value) {
  return wait_for([](Store in, Bytes k, Bytes v) -> Async<Versionstamp> {
    auto transaction = in.begin();
    transaction.set(k, v);
    co_return co_await transaction.commit();
  }(store, std::move(key), std::move(value)));
}

inline Result<std::optional<Bytes>> get(const Store& store, Bytes key) {
  return wait_for([](Store in, Bytes k) -> Async<std::optional<Bytes>> {
    auto transaction = in.begin();
    co_return co_await transaction.get(k);
  }(store, std::move(key)));
}

}  // namespace semper::foundationdb
