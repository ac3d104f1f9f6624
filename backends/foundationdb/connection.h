// Connection: what all parts of an open fdb: store share, and the gate of its operations.
//
// Each operation enters the gate, holds the connection while it runs, and leaves; close() waits for the
// last one. The newest version that was seen is kept here: see RecentVersion.
//
// Threads: any.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "database.h"
#include "fork_guard.h"
#include "semper/env/gate.h"
#include "statistics.h"

namespace semper::foundationdb {

// A version that was the newest not long ago, for commits that have read nothing.
//
// Such a commit still has one thing to check: that nobody has fenced its idempotency marker, a key that
// is its own. Any version that the cluster still knows will do for that, so a round trip to ask for a
// new one is saved. It must never be used to read data at: a reader is promised the newest state.
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

struct Connection {
  Connection(std::shared_ptr<const Database> to, Env handed)
      : database(std::move(to)), env(handed) {}

  const std::shared_ptr<const Database> database;
  const Env env;
  const ForkGuard fork;
  Statistics statistics;
  RecentVersion recent;
  Gate gate{"the store"};

  const KeySpace& keys() const { return database->keys(); }

  // Errors: unsupported (a forked child), closed.
  Result<Gate::Holder> enter() {
    SEMPER_TRY_STATUS(fork.check());
    return gate.enter();
  }
};

}  // namespace semper::foundationdb
