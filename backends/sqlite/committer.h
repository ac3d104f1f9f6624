// Committer: one thread that commits what all callers of a handle hand in, in batches.
//
// While one batch is being applied or flushed the next requests gather, so the batch grows with the
// load by itself; nobody waits for a timer, and a lone caller waits for nothing but its own flush.
// In its turn (turn.h) the committer takes all that wait, validates and applies each within one
// SQLite transaction, and writes it into the log. Then the turn ends, and the flush is made outside
// it, while other processes have theirs (log_sync.h). This handle's next batch waits for the flush,
// and is the larger for it: begun at once, it was measured to be smaller and the whole slower.
// Every applied request has a version of its own, in the order of the batch, so that a transaction
// that begins at the version of an earlier commit is told of everything after it; a request that
// conflicts leaves no trace in the batch.
//
// Durability: a request is answered with success after a flush that began when it was in the log.
// An error of a statement rolls the whole batch back; its requests are then tried one by one, so
// that only the one at fault fails. An error of COMMIT, and a flush that failed, are resolved by
// recovery.h, with the turn held. After the flush, before anybody is told, the files are looked for
// under their names, as they were before the batch (place.h).
//
// Threads: commit() from any; the rest from the owner.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "checkpointer.h"
#include "flush_queue.h"
#include "log_sync.h"
#include "recovery.h"
#include "semper/env/one_shot.h"
#include "turn.h"
#include "watch_hub.h"
#include "writer.h"

namespace semper::sqlite {

// What one SQLite transaction takes at most, and what may wait.
inline constexpr std::size_t kBatchRequests = 4096;
inline constexpr std::size_t kBatchBytes = std::size_t{16} << 20;
inline constexpr std::size_t kQueueRequests = 100'000;
inline constexpr std::size_t kQueueBytes = std::size_t{512} << 20;
// How often it is looked who keeps the log.
inline constexpr Duration kHoldersInterval = std::chrono::seconds(1);
// Explicit write conflicts are kept this long.
inline constexpr Duration kWriteConflictLife = std::chrono::seconds(60);

class Committer {
 public:
  struct Context {
    const SqliteOptions* options;
    Sidecar* sidecar;
    Statistics* statistics;
    Clock* clock;
    Duration snapshot_lifetime;
    WatchHub* hub;
    ReadPool* pool;
    LogSync* log;
    FlushQueue* flushes;
    Checkpointer* checkpointer;
    // Whether the store's files are in their place; io, once and for all, where not.
    std::function<Status()> check_place;
    // Closes every other connection of the handle; allows them again.
    std::function<void(const Error&)> suspend_others;
    std::function<void()> resume_others;
    // Ends checks, which read for long.
    std::function<void()> end_long_reads;
  };
  Committer(Context context, std::unique_ptr<Writer> writer);
  ~Committer();

  // Error: exhausted (no thread); then it is as if it were not there.
  Status start();
  // Refuses new requests, finishes those that wait, ends the thread.
  void finish_queue();
  // After that. Where this is the last connection of all, the WAL is emptied and removed.
  void close_writer();

  // See Backend::commit. The commit, and so every later one, gets a version above `floor`.
  Async<CommitReceipt> commit(CommitRequest request, Version floor = 0);

  // A flush failed: what is in the log is found out in a turn of its own.
  void find_out();

  // Every later commit gives this error.
  void fail_for_good(const Error& error);
  // That one, where there was one.
  std::optional<Error> failure() const;

 private:
  using Answer = Result<CommitReceipt>;
  struct Pending {
    CommitRequest request;
    Version floor = 0;
    std::size_t bytes = 0;
    OneShot<Answer> done;
    Answer answer = fail(ErrorKind::internal, "no answer yet");
    LogSync::Mark mark;  // of a success
  };
  // Shared with the coroutine that waits, so that it frees what it has made, on its own thread:
  // freed here, memory of many threads would come back to one, and they would fight over the
  // allocator.
  using Batch = std::vector<std::shared_ptr<Pending>>;
  enum class Applied : std::uint8_t { yes, no, failed };
  // In the log, as far as it was applied.
  struct Written {
    Batch batch;
    LogSync::Mark mark;
    std::int64_t log_bytes;
  };

  Status enqueue(std::shared_ptr<Pending> pending);
  // The queue's invariants, with the lock held.
  void check() const;
  void run();
  bool wait_for_work();
  Batch take_batch();
  void take_turn();
  void flush(Written& written);
  bool is_settled(LogSync::State state) const;
  LogSync::State fate_of(const Pending& pending, LogSync::State of_the_last) const;
  void answer(Written& written, LogSync::State state);
  void settle_rest();
  Status check_log_length(std::int64_t least) const;
  bool has_whole_log(std::int64_t least);
  std::vector<Written> take_unsettled();
  void give_up_if_stopping();
  void recover();
  bool is_in_place(Batch& batch);
  void rescue_from_lost_log();
  void refuse_acknowledgement(Batch& batch, const Error& error);
  void commit_batch(Batch& batch);
  bool begin(Batch& batch, Version& version);
  Applied apply(Batch& batch, Version& version);
  void commit_one_by_one(Batch& batch);
  void finish(Batch& batch, Version version);
  void start_afresh(Batch& batch, const Error& error);
  void replace_broken_writer();
  void use(std::unique_ptr<Writer> writer);
  void replace_writer();
  Status find_writer();
  void give_up(const Error& dead);
  void resolve(Batch& batch, Version version, const Error& error);
  bool open_again(const Error& error);
  Status forget_old_write_conflicts();
  bool wants_wal();
  void look_after_wal();
  void on_restarted_wal(std::int64_t grown_to);
  bool restart_wal(bool pressed);
  void make_room();
  bool try_again_beside_holders();
  bool anybody_stays() const;
  void name_holders();
  static void answer_all(Batch& batch, const Error& error);
  static void deliver(Batch& batch);

  Context context_;
  std::unique_ptr<Writer> writer_;
  Turn turn_;
  bool lost_ = false;  // the files are not in their place
  std::int64_t seen_wal_bytes_ = 0;
  std::int64_t next_restart_bytes_ = 0;
  std::int64_t next_wait_bytes_ = 0;    // for readers, after a wait in vain
  std::optional<std::string> holders_;  // of the log, who do not give way
  MonotonicTime next_look_at_holders_{};
  MonotonicTime next_try_for_room_{};
  std::deque<std::pair<MonotonicTime, Version>> write_conflicts_;
  std::optional<Error> apply_error_;  // of the last statement that failed
  LogSync::Mark written_;             // by the batch in hand

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::shared_ptr<Pending>> queue_;
  std::size_t queue_bytes_ = 0;
  bool sleeping_ = false;
  bool stopping_ = false;
  bool find_out_ = false;
  std::vector<Written> unsettled_;  // their flush failed
  std::optional<Error> failed_;
  std::thread thread_;
};

}  // namespace semper::sqlite
