// LogReaders: which processes are reading in a transaction, and so keep the log from being used
// again from its front.
//
// SQLite marks them by locks on bytes of the log's index (-shm), which the kernel lists in
// /proc/locks. Processes of PID namespaces that are not ours are not in that list. For people, and
// to decide whether waiting can help: a process that has the store open gives way (read_pool.h), a
// stranger, such as the sqlite3 shell, does not.
//
// Threads: any.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "sidecar.h"

namespace semper::sqlite {

struct LogReader {
  pid_t pid = 0;
  std::string program;  // as /proc/PID/comm says
  bool gives_way = false;
};

class LogReaders {
 public:
  explicit LogReaders(std::vector<LogReader> readers) : readers_(std::move(readers)) {}

  // Somebody is in the way for whom waiting is in vain.
  bool anybody_stays() const;
  // 0: nobody that can be seen.
  pid_t first_pid() const { return readers_.empty() ? 0 : readers_.front().pid; }
  // "process 12 (sqlite3) has been reading", for the middle of a sentence. At most kNamedReaders.
  std::string to_string() const;

 private:
  std::vector<LogReader> readers_;
};

inline constexpr std::size_t kNamedReaders = 5;

// Other processes than this one; those that stay come first.
LogReaders log_readers(const SqliteOptions& options, Sidecar& sidecar);

// The part of log_readers() that knows the format of /proc/locks: who has locks of readers on this
// file.
std::vector<pid_t> pids_that_read(const std::string& locks, const FileIdentity& index);

// Of the log's file; 0 where there is none.
std::int64_t size_of_log(const SqliteOptions& options);

}  // namespace semper::sqlite
