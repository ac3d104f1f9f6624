// What the tests of this backend share: a folder of their own, and a way to run coroutines.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>

#include "semper/env/scheduler.h"
#include "semper/store/store.h"
#include "semper/testing/temporary_folder.h"
#include "sqlite.h"

namespace semper::sqlite {

// A folder that goes with its test.
class TestPlace {
 public:
  std::string folder() const { return folder_.path(); }
  std::string file() const { return folder_.path("store.db"); }
  std::string url(const std::string& parameters = "") const {
    return "sqlite:" + file() + (parameters.empty() ? "" : "?" + parameters);
  }

  // Names in the folder, sorted, with a blank between.
  std::string listing() const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      names.insert(entry.path().filename());
    }
    std::string all;
    for (const auto& name : names) all += (all.empty() ? "" : " ") + name;
    return all;
  }

 private:
  const testing::TemporaryFolder folder_;
};

inline std::string contents_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::string& path, const std::string& contents) {
  std::ofstream(path, std::ios::binary) << contents;
}

// Runs coroutines on a thread of its own.
inline Scheduler& test_scheduler() {
  static Scheduler scheduler({.threads = 2, .name = "sqlite-test"});
  return scheduler;
}

template <class T>
T wait_for(Task<T> task) {
  return test_scheduler().block_on(std::move(task));
}

inline Result<Store> open_store_at(const std::string& url, Env env = {}) {
  auto parsed = StoreUrl::parse(url);
  if (!parsed) return fail(parsed.error());
  auto opened = wait_for(open_sqlite(*parsed, env));
  if (!opened) return fail(opened.error());
  return Store(*opened, env);
}

// The store; a failure to open it fails the test.
inline Store must_open(const std::string& url, Env env = {}) {
  auto store = open_store_at(url, env);
  if (!store) throw std::runtime_error(store.error().to_string());
  return *store;
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

inline std::int64_t figure(const Store& store, std::string_view name) {
  for (const auto& [key, value] : store.backend().statistics()) {
    if (key == name) return value;
  }
  throw std::runtime_error("no such figure: " + std::string(name));
}

}  // namespace semper::sqlite
