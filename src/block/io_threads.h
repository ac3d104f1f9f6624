// IoThreads: a few threads that do blocking operations from one queue.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "io_engine.h"

namespace semper::internal {

class IoThreads final : public IoEngine {
 public:
  static Result<std::unique_ptr<IoThreads>> start(const IoEngineOptions& options);
  ~IoThreads() override;

  void submit(IoOperationPtr operation) override;
  // Takes the operation only where a thread has nothing to do.
  bool submit_if_idle(IoOperationPtr& operation);
  std::string description() const override { return "threads"; }

 private:
  explicit IoThreads(const IoEngineOptions& options) : options_(options) {}
  void enqueue_locked(IoOperationPtr operation, std::unique_lock<std::mutex> lock);
  void run();
  void spin() const;

  const IoEngineOptions options_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<IoOperationPtr> queue_;
  std::atomic<std::size_t> queued_ = 0;
  std::size_t busy_ = 0;
  std::size_t asleep_ = 0;
  std::atomic<bool> stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace semper::internal
