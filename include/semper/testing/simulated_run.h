// simulated_run: runs a coroutine to its end in simulated time, on the calling thread.
//
// What for: tests of anything that waits. Whenever nothing is ready to run, the clock jumps to its
// next timer, so hours pass instantly, and the same seed gives the same run. When not: code that
// waits for real input or uses the system clock; use Scheduler::block_on.
//
//   SimulatedClock clock;
//   Result<int> answer = simulated_run(clock, ask(clock));      // Async<int> ask(Clock&);
//
// Returns what the coroutine returns, and throws what it throws. Anything the coroutine has spawned
// on its executor and left behind is destroyed when simulated_run returns. Throws SimulationStuck
// if the coroutine waits for something that can no longer happen: nothing is ready and no timer is
// left, or the time limit has passed.
#pragma once

#include <exception>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "semper/env/asio.h"
#include "semper/testing/internal/run_simulated.h"
#include "semper/testing/simulated_clock.h"

namespace semper::testing {

struct SimulatedRunOptions {
  // Simulated time after which the run counts as stuck. Raise it for simulations of days.
  Duration time_limit = std::chrono::hours(48);
  // Real time to wait for other threads (a backend's committer) before the clock moves. Default:
  // none; everything happens on this thread. With other threads, a run does not repeat exactly.
  std::chrono::milliseconds wait_for_threads{0};
};

class SimulationStuck : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class T>
T simulated_run(SimulatedClock& clock, Task<T> task, SimulatedRunOptions options = {}) {
  using Kept = std::conditional_t<std::is_void_v<T>, bool, T>;
  std::optional<Kept> result;
  std::exception_ptr thrown;
  bool done = false;
  {
    asio::io_context context(1);
    auto whole = [](Task<T> program, std::optional<Kept>& out) -> Task<void> {
      if constexpr (std::is_void_v<T>) {
        co_await std::move(program);
        out.emplace(true);
      } else {
        out.emplace(co_await std::move(program));
      }
    };
    asio::co_spawn(context, whole(std::move(task), result), [&](std::exception_ptr error) {
      thrown = error;
      done = true;
    });
    internal::run_simulated(context, clock, options, done);
  }
  if (thrown) std::rethrow_exception(thrown);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

}  // namespace semper::testing
