// ReadOnlyBackend: a store that this process may read and not write.
//
// What for: looking into a service's store as another user, or on a mount that is read-only. When
// not: where the process may write; SqliteBackend shares its connections and is told of commits.
//
// It makes nothing and takes part in nothing: no sidecar, no log, no index. Each snapshot opens the
// store for itself, in one of two ways:
//
//   with a log beside the store    as SQLite reads for who may not write its index. A stranger's
//                                  transaction to those who write, as a `sqlite3` shell is, for 5 s
//                                  at most
//   without one                    nobody has it open, or nobody has committed yet: the file alone
//                                  is the whole store. It is read without locks; whether somebody
//                                  has begun to copy a log into it is looked at after each read
//                                  (`conflict`: run it again)
//
// Refused: commits (`permission`), watches and backups (`unsupported`). A store that a crash left
// with a log and without that log's index cannot be read so; the error says who has to open it
// once.
//
// Threads: any.
#pragma once

#include <memory>
#include <string>

#include "fork_guard.h"
#include "options.h"
#include "place.h"
#include "semper/env/env.h"

namespace semper::sqlite {

class ReadOnlyBackend final : public Backend {
 public:
  // Errors: not_found, permission, corrupt, unsupported, io.
  static Result<std::shared_ptr<Backend>> open(SqliteOptions options, Env env);

  const Limits& limits() const override;
  BackendTraits traits() const override;
  std::string url() const override { return options_.url; }
  Async<std::unique_ptr<Snapshot>> snapshot() override;
  Async<CommitReceipt> commit(CommitRequest request) override;
  Async<void> raise_version(Version floor) override;
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override;
  Async<std::string> check() override;
  Async<BackupReport> backup(std::string path, BackupOptions options) override;
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override;
  Async<void> close() override;

 private:
  ReadOnlyBackend(SqliteOptions options, Env env, FileIdentity store)
      : options_(std::move(options)), env_(env), store_(store) {}
  Status check_usable() const;

  const SqliteOptions options_;
  const Env env_;
  const FileIdentity store_;
  const ForkGuard fork_{};
  bool closed_ = false;
};

// Of the commits of a store that was opened for reading, whoever has it open.
Error opened_for_reading(const SqliteOptions& options);

}  // namespace semper::sqlite
