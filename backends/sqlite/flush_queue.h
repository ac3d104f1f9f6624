// FlushQueue: one thread that flushes the log for whoever waits for that, all at once.
//
// Commits and snapshots wait here until what they stand on is durable (log_sync.h). While one flush
// runs the next ones gather; the next flush is for all of them.
//
// Bound: kFlushWaitersMaximum.
//
// Threads: any.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "log_sync.h"
#include "semper/env/one_shot.h"

namespace semper::sqlite {

// Batches of the committer, and coroutines that read.
inline constexpr std::size_t kFlushWaitersMaximum = 20'000;
// Recoveries in a row that a coroutine waits for.
inline constexpr int kFlushRecoveries = 3;

class FlushQueue {
 public:
  // What came of it (LogSync::flush); on the queue's thread.
  using Done = std::function<void(LogSync::State)>;

  // `on_failure`: a flush failed, and somebody has to find out what is there.
  FlushQueue(LogSync& log, std::function<void()> on_failure)
      : log_(&log), on_failure_(std::move(on_failure)) {}
  ~FlushQueue();

  // Error: exhausted (no thread).
  Status start();
  // What waits is flushed first.
  void stop();

  // Error: retry (kFlushWaitersMaximum wait), closed; then `done` is not called.
  Status add(const LogSync::Mark& mark, Done done);
  bool is_idle() const;

  // Until everything up to this mark is durable, past recoveries that find it. Errors: retry,
  // closed, io (begin anew), cancelled.
  Async<void> wait(LogSync::Mark mark);
  // It was found out what there is, or cannot be.
  void resume();

 private:
  struct Waiter {
    LogSync::Mark mark;
    Done done;
  };
  void run();
  Async<LogSync::State> flush(LogSync::Mark mark);
  Async<void> stall();

  LogSync* const log_;
  const std::function<void()> on_failure_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::vector<Waiter> waiters_;
  std::vector<OneShot<std::monostate>> stalled_;  // until resume()
  bool busy_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace semper::sqlite
