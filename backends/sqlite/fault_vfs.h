// A shim under SQLite whose files fail when a test says so: reads, writes, syncs, the whole disk.
//
// What for: tests alone. Registered under a name of its own, on top of SQLite's default.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <functional>
#include <string>

namespace semper::sqlite {

enum class FaultOperation : std::uint8_t { read, write, sync, truncate };
enum class FaultFile : std::uint8_t { database, wal, other };

struct FaultPlan {
  // Called before each operation; a code other than SQLITE_OK fails it (it is then not done).
  // From any thread.
  std::function<int(FaultFile file, FaultOperation operation)> decide;
  // Called before a file is opened.
  std::function<void(FaultFile file)> on_open = {};
};

// The name to give as ?vfs=. The plan must outlive every file opened by it.
class FaultVfs {
 public:
  explicit FaultVfs(std::string name);
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  const std::string& name() const { return name_; }

  // Not while a store is open.
  void set_plan(FaultPlan plan) { plan_ = std::move(plan); }
  int decide(FaultFile file, FaultOperation operation) const {
    return armed_.load() && plan_.decide ? plan_.decide(file, operation) : SQLITE_OK;
  }
  void opens(FaultFile file) const {
    if (armed_.load() && plan_.on_open) plan_.on_open(file);
  }
  void arm() { armed_.store(true); }
  void disarm() { armed_.store(false); }

 private:
  std::string name_;
  sqlite3_vfs vfs_{};
  FaultPlan plan_;
  std::atomic<bool> armed_ = false;
};

}  // namespace semper::sqlite
