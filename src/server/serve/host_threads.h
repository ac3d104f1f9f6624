// HostThreads: the threads of one host, and which work is on which.
//
//   work     callbacks and the host's coroutines: HostOptions::threads, from the beginning
//   locked   handle_locked, which may block its thread: HostOptions::locked_threads, from the first
//            lock on
//   upkeep   the renewal of locks, so that no callback that blocks can keep it waiting: one thread,
//            from the first lock on
//
// A host with HostOptions::executor has no threads: all three are that executor. Threads: any.
#pragma once

#include <memory>
#include <mutex>

#include "semper/env/fork.h"
#include "semper/env/scheduler.h"
#include "semper/server/host_options.h"

namespace semper::internal {

class HostThreads {
 public:
  explicit HostThreads(const HostOptions& options);

  const Executor& work() const { return work_; }
  // One of those: what is spawned on one result runs one handler at a time. After stop() nothing
  // runs there.
  Executor locked();
  Executor upkeep();

  // Ends all threads and destroys what still runs on them. Not on one of them. Waits for callbacks.
  void stop();

  // Whether the caller is on one of them. Not so in a child that one of them has forked.
  bool is_on_own_thread() const;

 private:
  Executor started(std::unique_ptr<Scheduler>& threads, SchedulerOptions options);

  const HostOptions options_;
  const ForkGuard fork_{};
  Executor work_;
  mutable std::mutex mutex_;
  bool stopped_ = false;
  std::unique_ptr<Scheduler> work_threads_;
  std::unique_ptr<Scheduler> locked_threads_;
  std::unique_ptr<Scheduler> upkeep_thread_;
};

}  // namespace semper::internal
