// A SQLite VFS that writes the frames of one commit to the WAL in one go.
//
// SQLite writes each frame as two small writes, a header of 24 bytes and a page, so a commit that
// touches thirty pages makes sixty system calls before its one flush. This VFS sits on another one,
// keeps what is written to the WAL end to end in memory, and hands it on as one write when the file
// is synced, or before anything else looks at it through this handle.
//
// Why nobody can miss what is not written yet: with synchronous=FULL SQLite syncs the WAL before it
// tells the index of a new commit, and no connection, of this or another process, reads frames that
// the index does not name. A write that fails is reported by the sync, that is by the same commit.
//
// The sync that ends a commit can be put off (DeferredSync): the frames are handed on, and may be
// read, and somebody else flushes the log before anything is acknowledged (log_sync.h). The sync of
// a log's first block is never put off, because the frames behind it must not outlive the old one.
//
// Used by the writer's connection only. Bound: kWalBufferBytes, then it is handed on early.
#pragma once

#include <sqlite3.h>

#include <string>

#include "semper/base/result.h"

namespace semper::sqlite {

inline constexpr std::size_t kWalBufferBytes = std::size_t{1} << 20;

// The name of such a VFS on top of the one named (empty: the default one), registered at the first
// call. Error: invalid_argument (no VFS of that name), internal.
Result<std::string> wal_vfs_on(const std::string& below);

// As long as it lives, syncs of the WAL by this thread, through this VFS, are put off.
class DeferredSync {
 public:
  DeferredSync();
  ~DeferredSync();
  DeferredSync(const DeferredSync&) = delete;
  DeferredSync& operator=(const DeferredSync&) = delete;
};

}  // namespace semper::sqlite
