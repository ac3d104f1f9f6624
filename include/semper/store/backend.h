// Backend: the interface that an engine implements to be a Semper store.
//
// What for: engines (memory, sqlite, foundationdb, etcd, a third party's). An engine reads from
// snapshots and applies commits; read-your-writes, limits, versionstamp arguments, conflict
// recording, retries and unknown outcomes are the same for all engines, and implemented above it
// (transaction.h). When not: applications use Store and Transaction.
//
// A third party's backend derives from Backend and Snapshot, registers its URL scheme with
// register_backend(), and runs the conformance suite of semper/testing/store_conformance.h.
//
// Threads: every member of Backend may be called from any thread. A Snapshot is used by one
// coroutine at a time, on any thread. Source of the idea: dgen's backend behaviour and
// FoundationDB's resolver (a conflict is a write by one transaction to something that another has
// read, after the latter's read version).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "semper/env/asio.h"
#include "semper/env/env.h"
#include "semper/store/backup.h"
#include "semper/store/commit.h"
#include "semper/store/internal/marker_ledger.h"
#include "semper/store/limits.h"
#include "semper/store/snapshot.h"
#include "semper/store/store_url.h"

namespace semper {

struct BackendTraits {
  // ReadRecord::rows must be filled in, even for conflict ranges that were not read.
  bool wants_row_counts = false;
  // The engine itself resolves unknown outcomes of commit(). Otherwise Transaction adds an
  // idempotency marker to each commit.
  bool resolves_outcomes = false;
  // Each commit has its own version (no two differ only by batch order).
  bool versions_are_commits = false;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual const Limits& limits() const = 0;
  virtual BackendTraits traits() const = 0;

  // The URL with which it was opened, without secrets.
  virtual std::string url() const = 0;

  // The newest committed state, at least as new as every commit that returned before the call, in
  // any process. Errors: retry (all read connections stay busy), io, closed.
  virtual Async<std::unique_ptr<Snapshot>> snapshot() = 0;

  // A version that was the newest a moment ago, if that is known without asking: for a commit that
  // has read nothing and checks only its own idempotency marker. Never read at it. None: take a
  // snapshot.
  virtual std::optional<Version> recent_version() const { return std::nullopt; }

  // Success: everything in the request is applied, durable, and seen by later snapshots. conflict:
  // nothing was applied. outcome_unknown: applied completely or not at all, possibly later. Other
  // errors: nothing was applied. If it never returns (crash): completely or not at all.
  virtual Async<CommitReceipt> commit(CommitRequest request) = 0;

  // From now on, every commit gets a version above `floor`. For stores that take over data with the
  // stamps of another one (`semper store copy`): a repeated stamp would break the order of queues,
  // and caches that distinguish states by it. Success: durable. If it never returns: perhaps
  // raised. Error: unsupported (the message says how else the version can be raised). The default
  // implementation succeeds only if the current version is `floor` or above.
  virtual Async<void> raise_version(Version floor);

  // A watch on the key as the snapshot sees it. Error: exhausted (too many watches), closed.
  virtual Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) = 0;

  // Reads everything and reports the first damage as `corrupt`. Success: a sentence about what was
  // checked. May take long; other work continues.
  virtual Async<std::string> check() = 0;

  // Copies the whole store to `path`, a file that does not exist yet, while the store is in use.
  // The copy is one consistent state, the newest when the backup began; it has been read again and
  // checked, and can be opened as a store. Success: durable, including its name. On an error, or if
  // it never returns, there is no file of that name. Errors: already_exists, conflict (another
  // process is making the same file), retry, cancelled, exhausted (no space), corrupt (the store is
  // damaged), permission, io; unsupported (the engine has its own ways of backup, which the message
  // names), which is the default.
  virtual Async<BackupReport> backup(std::string path, BackupOptions options);

  // Figures for people and metrics: name -> number. Cheap.
  virtual std::vector<std::pair<std::string, std::int64_t>> statistics() const = 0;

  // Refuses new work, waits for work in progress, and fires every watch with `closed`.
  virtual Async<void> close() = 0;

 private:
  friend struct internal::BackendParts;
  internal::MarkerLedger marker_ledger_;
};

using BackendFactory = std::function<Async<std::shared_ptr<Backend>>(StoreUrl url, Env env)>;

// Makes "SCHEME:..." known to open_backend; a second registration of a scheme replaces the first.
void register_backend(std::string scheme, BackendFactory factory);

// Errors: invalid_argument (unknown scheme, listing those known), and the backend's own.
Async<std::shared_ptr<Backend>> open_backend(std::string url, Env env);

}  // namespace semper
