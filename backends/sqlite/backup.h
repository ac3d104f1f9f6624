// Backups: copies of the open store, page by page, while everybody goes on.
//
// A copy is read in one transaction, so that it is one state and the copying ends in a time that
// depends on the size of the store alone; `sqlite3 .backup` begins anew whenever another process
// has written. As long as it runs the log cannot be used from its front and grows by what is
// committed: the handle says so in the sidecar, and committers do not wait for it (log_readers.h).
//
// The copy is made under another name, `TO-semper-part`, read again and checked as Backend::check
// does, and gets its name when it is whole and on disk. What a killed one left is replaced by the
// next.
//
// Threads: any.
#pragma once

#include <sqlite3.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "log_sync.h"
#include "options.h"
#include "semper/store/backend.h"
#include "sidecar.h"

namespace semper::sqlite {

// Copied between two looks at whether it should go on.
inline constexpr std::size_t kBackupStepBytes = std::size_t{1} << 20;

class Backups {
 public:
  Backups(const SqliteOptions& options, Sidecar& sidecar, LogSync& log)
      : options_(&options), sidecar_(&sidecar), log_(&log) {}
  ~Backups();

  // See Backend::backup. One at a time in a handle; a second one gets `retry`.
  Async<BackupReport> backup(std::string to, BackupOptions options);

  // Ends what is running (it reports `retry`) and starts nothing until resume().
  void suspend();
  void resume();

 private:
  struct Job;
  Result<BackupReport> run(const Job& job);
  Result<BackupReport> copy(const Job& job, const std::string& part);
  Status copy_pages(const Job& job, sqlite3* from, sqlite3* to, std::uint64_t page_bytes);
  Result<std::string> verify(const Job& job, const std::string& part);
  Status ended(const Job& job) const;

  const SqliteOptions* options_;
  Sidecar* sidecar_;
  LogSync* log_;
  std::mutex mutex_;
  bool suspended_ = false;
  std::thread thread_;
  std::atomic<bool> running_ = false;
  std::atomic<bool> interrupted_ = false;
};

}  // namespace semper::sqlite
