// Recovery: what became of a commit whose COMMIT or flush failed.
//
// After a failed write or sync of the WAL the transaction may be on disk or not, and nothing that
// this kernel has cached proves either: a second sync of the same file can succeed without having
// written what the first one could not. So every connection of the handle is
// closed, and with the turn still held:
//
//   1. the store is opened anew; SQLite reads the WAL and keeps what is whole in it. Where other
//      processes have it open it does not, and what the WAL's index names must all be whole
//      (log_chain.h)
//   2. the WAL is written over itself and synced: fresh writes, through a fresh descriptor; and is
//      looked at again, because until then the kernel may have forgotten what it could not write
//   3. all of it is checkpointed into the database and the WAL truncated, both synced
//   4. the version in the database tells: the commit's own, or the one before
//
// Whatever the answer, it is on disk then, and no later crash can change it. If any step fails the
// handle is of no use any more: the outcome stays unknown, and all later operations give `io`.
#pragma once

#include <functional>
#include <memory>

#include "options.h"
#include "statistics.h"
#include "writer.h"

namespace semper::sqlite {

// Readers of other processes are waited for this long.
inline constexpr int kTruncateWaitMs = 7000;

struct Recovered {
  std::unique_ptr<Writer> writer;
  Version version = 0;
};

// Writes the log over itself and flushes it: what is read of it is durable then. Nobody writes to
// it.
Status rewrite_log(const StorePath& path);

// The same after a flush that failed: what the log's index names must be whole before, and after.
// What could not be written may be forgotten between the two, and then something old was written
// anew. `rewrite`: for tests.
Status renew_log(const StorePath& path,
                 const std::function<Status(const StorePath&)>& rewrite = rewrite_log);

// After a flush that failed: where the log holds all that its index names, that is written anew and
// flushed, and nobody's transaction is disturbed. Returns the store's version. Errors: io, where
// frames were lost, or the disk does not take them; the others of Writer::begin.
Result<Version> refresh_log(Writer& writer, const SqliteOptions& options, Statistics& statistics);

// By who may only read it: what was written into the log is durable then.
Status flush_log(const StorePath& path);

// All other connections of this handle are closed. Errors: those of the step that failed.
Result<Recovered> recover_store(const SqliteOptions& options, Statistics& statistics);

}  // namespace semper::sqlite
