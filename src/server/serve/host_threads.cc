#include "server/serve/host_threads.h"

#include <algorithm>
#include <utility>

#include "semper/env/serial.h"

namespace semper::internal {

namespace {

bool is_on_thread_of(const Executor& executor) {
  const auto* on_context = executor.target<asio::io_context::executor_type>();
  return on_context != nullptr && on_context->running_in_this_thread();
}

}  // namespace

HostThreads::HostThreads(const HostOptions& options) : options_(options), work_(options.executor) {
  if (work_) return;
  work_threads_ = std::make_unique<Scheduler>(
      SchedulerOptions{std::max<std::size_t>(options.threads, 1), "semper-host"});
  work_ = work_threads_->executor();
}

Executor HostThreads::locked() {
  const std::size_t threads = std::max<std::size_t>(options_.locked_threads, 1);
  constexpr auto kMayBlock = SchedulerOptions::Blocking::is_allowed;
  return serial_executor(started(locked_threads_, {threads, "semper-locked", kMayBlock}));
}

Executor HostThreads::upkeep() {
  return serial_executor(started(upkeep_thread_, {1, "semper-upkeep"}));
}

Executor HostThreads::started(std::unique_ptr<Scheduler>& threads, SchedulerOptions options) {
  if (options_.executor) return work_;
  std::lock_guard lock(mutex_);
  if (stopped_) return work_;
  if (!threads) threads = std::make_unique<Scheduler>(std::move(options));
  return threads->executor();
}

void HostThreads::stop() {
  std::unique_ptr<Scheduler> ended[3];
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    // In this order: what waits for the others' outcome goes first.
    ended[0] = std::move(work_threads_);
    ended[1] = std::move(locked_threads_);
    ended[2] = std::move(upkeep_thread_);
  }
  for (auto& threads : ended) threads.reset();
}

bool HostThreads::is_on_own_thread() const {
  if (fork_.is_foreign()) return false;
  std::lock_guard lock(mutex_);
  for (auto* threads : {work_threads_.get(), locked_threads_.get(), upkeep_thread_.get()}) {
    if (threads != nullptr && is_on_thread_of(threads->executor())) return true;
  }
  return false;
}

}  // namespace semper::internal
