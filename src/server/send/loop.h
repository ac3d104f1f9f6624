// Loop: whose thread something runs on, for those who must not rely on it.
//
// A caller's loop may be destroyed, or never be run again, in the middle of what was begun on it.
// So work for others stays there only while its own callers wait, and goes elsewhere when the loop
// is gone or does not answer for kLoopPatience.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "semper/env/internal/tagged_executor.h"
#include "semper/env/one_shot.h"

namespace semper::internal {

// How often a loop that others wait for is looked at. One that was asked and has not answered at
// two looks does not run: after three times this, what they wait for is taken from it. Two, because
// a process that was stopped finds its timers due before its loops have run.
inline constexpr Duration kLoopPatience = std::chrono::seconds(1);

// The execution context that an executor belongs to: whose loop it is.
inline const void* context_of(const Executor& executor) {
  return &asio::query(executor, asio::execution::context_as<asio::execution_context&>);
}

class Loop {
 public:
  Loop() = default;
  // Of an executor whose execution context is there.
  explicit Loop(const Executor& executor)
      : executor_(asio::prefer(without_tag(executor), asio::execution::outstanding_work.untracked)),
        context_(context_of(executor)),
        registry_(WaiterRegistry::of(
            asio::query(executor, asio::execution::context_as<asio::execution_context&>))) {}

  // Two executors of one execution context are one loop.
  friend bool operator==(const Loop& a, const Loop& b) { return a.registry_ == b.registry_; }

  // Only to be used on that loop.
  const Executor& executor() const { return executor_; }
  const void* context() const { return context_; }
  // This thread runs it at this moment.
  bool runs_here() const { return registry_ && internal::runs_here(executor_); }

  bool is_gone() const { return !registry_ || registry_->is_shut_down(); }

  // Runs the work there. False: the loop is gone, and the work was destroyed; so it is, later,
  // where the loop goes before it ran it.
  bool post(std::function<void()> work) const {
    if (!registry_) return false;
    auto locked = registry_->lock();
    if (registry_->is_shut_down()) {
      locked.unlock();
      return false;
    }
    asio::post(executor_, std::move(work));
    return true;
  }

  // Starts the coroutine there; where the loop is gone, it is not made.
  void spawn(std::function<Task<void>()> make) const {
    if (runs_here()) {
      asio::co_spawn(executor_, make(), asio::detached);
      return;
    }
    post([executor = executor_, make = std::move(make)] {
      asio::co_spawn(executor, make(), asio::detached);
    });
  }

  // Asks for a sign of life: the flag is set by the loop itself.
  std::shared_ptr<const std::atomic<bool>> ask() const {
    auto answered = std::make_shared<std::atomic<bool>>(false);
    post([answered] { answered->store(true); });
    return answered;
  }

 private:
  Executor executor_;
  const void* context_ = nullptr;
  std::shared_ptr<WaiterRegistry> registry_;
};

// Whether a loop still runs; to be asked every kLoopPatience.
class LoopWatch {
 public:
  // `turn`: changes with what is run there. True: it does not run.
  bool is_dead(const Loop& loop, std::uint64_t turn) {
    if (answered_ && turn == turn_ && !answered_->load()) return ++silent_ >= kSilentLooks;
    turn_ = turn;
    silent_ = 0;
    answered_ = loop.ask();
    return false;
  }

 private:
  static constexpr int kSilentLooks = 2;
  std::uint64_t turn_ = 0;
  int silent_ = 0;
  std::shared_ptr<const std::atomic<bool>> answered_;
};

}  // namespace semper::internal
