// SqliteBackend: the parts of an open sqlite: store, put together.
//
//   snapshot()  ->  ReadPool     read transactions, shared by version
//   commit()    ->  Committer    one thread: turn, validation, the log; Writer, ConflictLog
//                   FlushQueue   one thread: one flush for many (LogSync)
//   watch()     ->  WatchHub     counters and futex in the Sidecar
//   listen()    ->  SocketNeighbours  sockets to the other processes; one thread
//                   Checkpointer keeps the WAL short
//
// Threads: any. Destroying it without close() does what close() does, on the calling thread.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>
#include <vector>

#include "backup.h"
#include "checker.h"
#include "checkpointer.h"
#include "committer.h"
#include "flush_queue.h"
#include "fork_guard.h"
#include "log_sync.h"
#include "neighbours.h"
#include "options.h"
#include "place.h"
#include "read_pool.h"
#include "semper/env/one_shot.h"
#include "semper/store/failure.h"
#include "semper/store/recent_changes.h"
#include "sidecar.h"
#include "statistics.h"
#include "watch_hub.h"

namespace semper::sqlite {

class SqliteBackend final : public Backend,
                            public FailsForGood,
                            public RecentChanges,
                            public Neighbours {
 public:
  static Result<std::shared_ptr<Backend>> open(SqliteOptions options, Env env);

  ~SqliteBackend() override;

  const Limits& limits() const override;
  BackendTraits traits() const override;
  std::string url() const override;
  Async<std::unique_ptr<Snapshot>> snapshot() override;
  Async<CommitReceipt> commit(CommitRequest request) override;
  Async<void> raise_version(Version floor) override;
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override;
  Async<std::string> check() override;
  Async<BackupReport> backup(std::string path, BackupOptions options) override;
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override;
  Async<void> close() override;
  std::optional<Error> failure() const override;
  std::optional<Version> newest_known() const override;
  bool is_known_unchanged(BytesView key, Version since) const override;
  Result<std::unique_ptr<Listening>> listen(std::string topic, Accept accept) override;
  bool has_listener(std::string_view topic) const override;
  Result<std::shared_ptr<NeighbourLink>> connect(
      std::string topic, std::shared_ptr<NeighbourReceiver> receiver) override;

 private:
  // Everything that has threads and connections; left as it is in a forked child.
  struct Parts {
    SqliteOptions options;
    Env env;
    ForkGuard fork;
    Statistics statistics;
    std::unique_ptr<Sidecar> sidecar;
    std::unique_ptr<LogSync> log;
    std::unique_ptr<FlushQueue> flushes;
    std::shared_ptr<ReadPool> pool;
    std::shared_ptr<WatchHub> hub;
    std::unique_ptr<Checkpointer> checkpointer;
    std::unique_ptr<Checker> checker;
    std::unique_ptr<Backups> backups;
    std::unique_ptr<Committer> committer;
    std::shared_ptr<SocketNeighbours> neighbours;  // null: this handle talks to nobody

    std::atomic<Duration::rep> next_look = 0;  // at the place
    std::mutex losing;
    std::optional<Error> lost;

    std::mutex closing;  // while it is shut down
    bool closed = false;

    std::mutex closers_mutex;
    std::vector<OneShot<std::monostate>> closers;  // who wait for it
    std::thread closer;
    bool is_closed = false;

    void assemble(std::unique_ptr<Writer> writer);
    // Error: exhausted (no thread).
    Status start();
    // Error io, from the first time on that a file of the store was not in its place.
    Status check_place();
    // The same where the last look was kPlaceInterval ago.
    Status check_place_if_due(MonotonicTime now);
    void give_up(const Error& error);
    Status close_soon(OneShot<std::monostate> done);
    void shut_down();
  };

  Status check_commits() const;
  Status check_neighbours() const;

  explicit SqliteBackend(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

  std::unique_ptr<Parts> parts_;
};

}  // namespace semper::sqlite
