// Connection: what all parts of an open fdb: store share, and the gate of its operations.
//
// Each operation enters the gate, holds the connection while it runs, and leaves; close() waits for
// the last one. The newest version that was seen is kept here: see RecentVersion.
//
// Threads: any.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "budget.h"
#include "database.h"
#include "fork_guard.h"
#include "semper/env/gate.h"
#include "statistics.h"

namespace semper::foundationdb {

// A version that was the newest not long ago, for commits that have read nothing.
//
// Such a commit still has one thing to check: that nobody has fenced its idempotency marker, a key
// that is its own. Any version that the cluster still knows will do for that, so a round trip to
// ask for a new one is saved. It must never be used to read data at: a reader is promised the
// newest state.
class RecentVersion {
 public:
  // Far below the 5 s for which the cluster can check.
  static constexpr Duration kAgeMaximum = std::chrono::seconds(1);

  // `asked_at`: before the cluster was asked.
  void saw(Version version, MonotonicTime asked_at);
  std::optional<Version> at(MonotonicTime now) const;
  // The cluster does not know it any more: it has recovered, and its versions have jumped.
  void forget();

 private:
  struct Seen {
    Version version = 0;
    MonotonicTime asked_at{};
  };
  mutable std::mutex mutex_;
  std::optional<Seen> seen_;
};

// Reads, commits and the rest, of one handle.
inline constexpr std::size_t kOperationsMaximum = 100'000;
// Keys and values of the commits that are under way.
inline constexpr std::size_t kCommitBytesMaximum = std::size_t{512} << 20;

struct Connection {
  Connection(std::shared_ptr<const Database> to, Env handed)
      : database(std::move(to)), env(handed) {}

  const std::shared_ptr<const Database> database;
  const Env env;
  const ForkGuard fork{};
  Statistics statistics;
  RecentVersion recent;
  Gate gate{"the store"};
  Budget commit_bytes{kCommitBytesMaximum};

  const KeySpace& keys() const { return database->keys(); }

  // Errors: unsupported (a forked child), closed, retry (kOperationsMaximum).
  Result<Gate::Holder> enter();
};

}  // namespace semper::foundationdb
