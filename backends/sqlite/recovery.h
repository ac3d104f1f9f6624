// Recovery: what became of a commit whose COMMIT failed.
//
// After an error from COMMIT (a failed write or sync of the WAL) the transaction may be on disk or
// not, and nothing that this kernel has cached proves either: a second sync of the same file can
// succeed without having written what the first one could not. So every connection of the handle is
// closed, and with the turn still held:
//
//   1. the store is opened anew; SQLite reads the WAL and keeps what is whole in it
//   2. the WAL is written over itself and synced: fresh writes, through a fresh descriptor
//   3. all of it is checkpointed into the database and the WAL truncated, both synced
//   4. the version in the database tells: the commit's own, or the one before
//
// Whatever the answer, it is on disk then, and no later crash can change it. If any step fails the
// handle is of no use any more: the outcome stays unknown, and all later operations give `io`.
#pragma once

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

// All other connections of this handle are closed. Errors: those of the step that failed.
Result<Recovered> recover_store(const SqliteOptions& options, Statistics& statistics);

}  // namespace semper::sqlite
