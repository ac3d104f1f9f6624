// ReadPool: the read transactions that snapshots stand on.
//
// A read transaction sees one version of the store for as long as it is open. Snapshots of the same
// version can stand on the same one (reads take microseconds and exclude each other), so that the
// number of connections bounds the versions that are being read, not the number of snapshots. A
// transaction that nobody uses stays open for a moment and is used again if nothing was committed
// since; one that is behind is opened anew. Behind is what is older than a version that anybody, in
// any process, was given: SQLite shows a commit to whoever opens a transaction before its committer
// has told of it.
//
// An open read transaction keeps the WAL from being used from the start again. So idle ones are
// ended soon. Where somebody wants the WAL, in any process, those that were open before are given
// to nobody else (otherwise one snapshot after the other could keep them open), and end with their
// last snapshot. One whose newest snapshot is older than the duration limit is taken away: reads on
// it then give `timeout`.
//
// Threads: any.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <variant>
#include <vector>

#include "reader.h"
#include "semper/env/one_shot.h"
#include "sidecar.h"
#include "statistics.h"

namespace semper::sqlite {

// Coroutines that wait for a connection, at most.
inline constexpr std::size_t kSnapshotWaitersMaximum = 10'000;
// Views of one version are opened up to this many, for threads that read at once, then shared.
inline constexpr std::size_t kParallelViews = 4;

// One read transaction, shared by the snapshots of its version.
class ReadView {
 public:
  explicit ReadView(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}

  Version version() const { return version_; }

  // Runs `read(Reader&)`, or gives the reason why the view was taken away.
  template <class Read>
  std::invoke_result_t<Read, Reader&> with_reader(Read read) {
    std::lock_guard lock(mutex_);
    if (!reader_) return fail(taken_away_);
    return read(*reader_);
  }

 private:
  friend class ReadPool;
  std::mutex mutex_;
  std::unique_ptr<Reader> reader_;
  Error taken_away_{ErrorKind::internal, ""};

  // With the pool's mutex held:
  Version version_ = 0;
  bool open_ = false;
  bool busy_ = false;  // being opened, by one thread
  std::size_t users_ = 0;
  MonotonicTime last_use_{};  // when the newest snapshot began, or the last one ended
  std::uint32_t wal_wanted_ = 0;  // the sidecar's count when it was opened
};

class ReadPool {
 public:
  struct Context {
    const SqliteOptions* options;
    Sidecar* sidecar;
    Statistics* statistics;
    Env env;
    // How long a snapshot may live.
    Duration lifetime;
    // Called when a view was opened: something has to be tidied up later.
    std::function<void()> on_opened;
  };
  explicit ReadPool(Context context) : context_(std::move(context)) {}
  ~ReadPool();

  // A view of the current version. Errors: retry (all connections stay busy), closed, io, corrupt.
  Async<std::shared_ptr<ReadView>> acquire();
  void leave(const std::shared_ptr<ReadView>& view);

  // Ends transactions that nobody has used for `idle`, and takes those away whose last snapshot is
  // older than `lifetime`. True where some are still open.
  struct TidyRules {
    Duration idle;
    Duration lifetime;
  };
  bool tidy(const TidyRules& rules);

  // Takes all views away, with this reason, and closes their connections. Until resume() nobody
  // gets one; with stop() for ever.
  void suspend(const Error& reason);
  void resume();
  void stop(const Error& reason);

  std::size_t views_in_use() const;

 private:
  using ViewPtr = std::shared_ptr<ReadView>;

  // Who waits for a connection, however the waiting ends.
  class Waiter;

  // A view; or null where all are busy.
  Result<ViewPtr> try_acquire();
  ViewPtr choose(Version wanted);
  Result<ViewPtr> open_view(ViewPtr view);
  void take_away(ViewPtr& view, const Error& reason);
  // Somebody has asked for the WAL since the view was opened.
  bool is_in_the_way(const ReadView& view) const;
  static void end(ReadView& view);
  void wake_waiters(std::size_t count);
  // The invariants, with the lock held.
  void check() const;

  Context context_;
  mutable std::mutex mutex_;
  std::condition_variable not_busy_;
  std::vector<ViewPtr> views_;
  std::deque<OneShot<std::monostate>> waiters_;
  bool suspended_ = false;
  std::optional<Error> stopped_;
};

}  // namespace semper::sqlite
