// Checkpointer: keeps the WAL short, and gives idle read transactions back.
//
// Commits append to the WAL; a checkpoint copies its pages into the database, and once all of it is
// copied and nobody reads from it any more, the next commit starts it again from the front:
// overwriting blocks that are there costs a flush less than half of what appending costs.
//
//   past kWalSoftBytes   this thread copies in the background (PASSIVE), through a connection of
//                        its own; when it has nearly caught up, the committer copies the little
//                        that is left between two of its batches and starts the WAL again
//   past kWalHardBytes   the committer does so whatever is left, and before that waits once, about
//                        twice kPressedSnapshotAge at most, for readers, whose older snapshots are
//                        taken away, in every process that has the store open
//
// So the WAL never grows past kWalHardBytes by more than one batch, however long our own
// transactions read. Where a machine is so busy that one wait is in vain, the next is at twice as
// much. A stranger's transaction, and a backup's, cannot be taken away: as long as they last nobody
// waits, the log grows, and the committer says who it is (log_readers.h).
//
// Threads: the members may be called from any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "connection.h"
#include "log_sync.h"
#include "options.h"
#include "read_pool.h"
#include "statistics.h"

namespace semper::sqlite {

inline constexpr std::int64_t kWalSoftBytes = std::int64_t{4} << 20;
inline constexpr std::int64_t kWalHardBytes = std::int64_t{64} << 20;
// The committer takes over where less than this is left to copy.
inline constexpr std::int64_t kWalRemainderBytes = std::int64_t{1} << 20;
inline constexpr Duration kPressedSnapshotAge = std::chrono::seconds(1);
// How long a read transaction stays open unused, and how often that is looked at.
inline constexpr Duration kIdleView = std::chrono::milliseconds(50);
inline constexpr auto kTidyPeriod = std::chrono::milliseconds(100);

class Checkpointer {
 public:
  struct Context {
    const SqliteOptions* options;
    Statistics* statistics;
    ReadPool* pool;
    LogSync* log;
    Sidecar* sidecar;
    Duration snapshot_lifetime;
    // Called every kTidyPeriod while there is activity.
    std::function<void()> on_tick;
  };
  explicit Checkpointer(Context context);
  ~Checkpointer();

  // Error: exhausted (no thread).
  Status start();
  void stop();

  // Something was opened or written: the thread has work, now or soon. Cheap.
  void on_activity();

  // The WAL holds this much after a commit.
  void on_commit(std::int64_t wal_bytes);
  // The committer has started the WAL again.
  void on_restart();

  // Whether the committer should finish the checkpoint now.
  bool is_nearly_done() const { return nearly_done_.load(std::memory_order_relaxed); }

  // Closes the connection and uses none until resume().
  void suspend();
  void resume();

 private:
  void run();
  bool tidy();
  void checkpoint();

  Context context_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  bool wanted_ = false;
  std::atomic<bool> asleep_ = false;
  std::atomic<bool> requested_ = false;
  std::atomic<bool> nearly_done_ = false;
  // Where readers keep the background copy from getting on, it is tried again after some growth.
  std::atomic<std::int64_t> next_request_ = kWalSoftBytes;
  std::atomic<std::int64_t> wal_bytes_ = 0;
  std::uint32_t seen_pressed_;  // of the thread
  std::thread thread_;

  std::mutex connection_mutex_;
  bool suspended_ = false;
  std::optional<Connection> connection_;
};

}  // namespace semper::sqlite
