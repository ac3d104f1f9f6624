// Scheduler: threads that run coroutines, and the way to start them from main().
//
// What for: programs without their own Asio loop, and the worker threads of a host. When not: a
// program that already has an io_context; every function of Semper runs on the caller's executor.
//
//   int main() { return semper::run(application()); }        // Task<int> application();
//
//   semper::Scheduler scheduler({.threads = 2});
//   auto value = scheduler.block_on(store.transact(change));   // from a plain thread only
//
// Threads: all members from any thread, except that block_on and the destructor must not be called
// on one of the scheduler's own threads (asserted). After stop(), block_on throws std::logic_error;
// a block_on that waits when stop() is called waits until the scheduler is destroyed, because its
// coroutine may use what the caller holds, and then throws std::future_error. In a forked child
// (fork.h) the parent's scheduler runs nothing: block_on throws std::logic_error, the destructor
// returns at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "semper/env/asio.h"
#include "semper/env/fork.h"

namespace semper {

struct SchedulerOptions {
  // Threads that run coroutines. Default: one. More help if handlers compute, not if they wait.
  std::size_t threads = 1;
  // Shown by debuggers and top; at most 15 characters.
  std::string name = "semper";
  // Whether code that runs here may block its thread (check_may_block). Default: no, because
  // everything else on the scheduler would wait too.
  enum class Blocking : std::uint8_t { is_refused, is_allowed } blocking = Blocking::is_refused;
};

// For functions that block their thread (semper/sync). Error unsupported: the calling thread runs
// coroutines, of a Scheduler or any other io_context, and the function might wait for one of them.
Status check_may_block(std::string_view what);

class Scheduler {
 public:
  explicit Scheduler(SchedulerOptions options = {});
  ~Scheduler();  // stop() and join
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  Executor executor() { return state_->context.get_executor(); }

  // Runs the coroutine to its end on the scheduler's threads; the calling thread waits. Exceptions
  // of the coroutine are rethrown here.
  template <class T>
  T block_on(Task<T> task) {
    assert_outside();
    std::promise<T> promise;
    auto future = promise.get_future();
    asio::co_spawn(state_->context, fulfil(std::move(task), std::move(promise)), asio::detached);
    return future.get();
  }

  // Ends the threads after the handlers that run now; coroutines still waiting are destroyed with
  // the scheduler.
  void stop();

 private:
  void assert_outside() const;

  // A coroutine without a result, because Asio default-constructs the result when it reports an
  // exception, and not every Result<T> can be default-constructed.
  template <class T>
  static Task<void> fulfil(Task<T> task, std::promise<T> promise) {
    try {
      if constexpr (std::is_void_v<T>) {
        co_await std::move(task);
        promise.set_value();
      } else {
        T value = co_await std::move(task);  // and the task with all it holds is gone
        promise.set_value(std::move(value));
      }
    } catch (...) {
      promise.set_exception(std::current_exception());
    }
  }

  struct State {
    explicit State(std::size_t count)
        : context(static_cast<int>(count)), work(context.get_executor()) {}
    const ForkGuard fork;
    asio::io_context context;
    asio::executor_work_guard<asio::io_context::executor_type> work;
    std::vector<std::thread> threads;
  };
  // Left as it is in a forked child.
  std::unique_ptr<State> state_;
};

// Runs one coroutine to its end on the calling thread and returns what it returns.
int run(Task<int> program);

}  // namespace semper
