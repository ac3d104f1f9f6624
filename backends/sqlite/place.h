// Place: whether the files of an open store still have its names.
//
// A file that was deleted, moved away or replaced takes writes as before, and keeps them from
// everybody who opens the name afterwards: commits would go on without an error, and vanish. So a
// handle remembers which files it has open, and compares them with their names before each of its
// batches, the store's own after each flush, and all now and then while it reads. What it finds is
// final.
//
// Handles of one process share what they remember of a file, because SQLite shares its index (-shm)
// among them: a second handle would take a new file of that name for the one that is in use.
//
// Threads: any.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "options.h"
#include "semper/env/clock.h"

namespace semper::sqlite {

// How old the last look may be before a snapshot begins.
inline constexpr Duration kPlaceInterval = std::chrono::milliseconds(10);

struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

// The identity of the file of this name, with its count of links; error: not_found and others.
struct NamedFile {
  FileIdentity identity;
  std::uint32_t links = 0;
  bool is_mounted_alone = false;  // a mount of this one file
};
Result<NamedFile> look_at(const std::string& path);

// What became of a file that had this name; `present` is who has it now.
Error lost_file(const std::string& path, const Result<NamedFile>& present);

class Place {
 public:
  // To be called while a connection has them open: the files that have the names of the store, its
  // log, the log's index, and the sidecar. Error: io (one is missing, or is not the one that this
  // process has open).
  static Result<std::shared_ptr<const Place>> remember(const SqliteOptions& options);

  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  // Four system calls, less than a microsecond each. Error: io, naming the first file
  // that is not in its place and what happened to it.
  Status check() const;
  // One of them.
  bool is_store_in_place() const;

  // The store's file has no name any more: nobody will ever see what is written to it.
  bool is_deleted() const;

  // Only the log is not in its place, and nobody has begun another one.
  bool is_only_the_log_lost() const;

 private:
  struct File {
    std::string path;
    FileIdentity identity;
  };
  Place() = default;
  Status check(const File& file) const;

  bool compares_ = true;     // not where a network file system makes the numbers up
  std::vector<File> files_;  // in the order above
  int store_ = -1;           // O_PATH: closing it drops no locks of SQLite
};

// Whether a connection that was just opened has the files of the open store, where there is one.
inline Status check_place(const SqliteOptions& options) {
  return options.place ? options.place->check() : Status{};
}

}  // namespace semper::sqlite
