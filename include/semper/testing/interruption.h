// InterruptibleLoop: interrupts an operation at its n-th await, so that a test can try all of them.
//
// What for: the promise that an operation which is cancelled, or whose io_context is destroyed,
// leaves everything in order: nothing is written into freed memory, and the handle stays usable.
// When not: operations whose work is done by other threads; their awaits have no fixed order.
//
//   const auto tried = at_each_await([&](std::size_t steps) {
//     World world;                                            // a fresh one
//     InterruptibleLoop loop(world.clock);
//     auto cut = loop.interrupt(world.producer.publish("x"), steps, Interruption::cancel);
//     ... use the handle, by loop.run(...) ...
//     return cut.interrupted;                                 // false: it was over before
//   });
//   EXPECT_GT(tried, 3);                                      // otherwise nothing was tried
//
// A step is one handler that the loop runs, or one timer of the clock; an operation that cannot
// continue by itself (because it waits for a stuck disk) is interrupted there. If an operation
// throws, cancelled or not, interrupt() throws: Semper's operations report a cancellation as an
// Error. If an operation does not end within an hour of simulated time after its cancellation,
// interrupt() throws SimulationStuck. Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "semper/env/asio.h"
#include "semper/testing/simulated_clock.h"
#include "semper/testing/simulated_run.h"

namespace semper::testing {

enum class Interruption : std::uint8_t {
  // The coroutine is cancelled and runs to its end.
  cancel,
  // The io_context is destroyed, and the coroutine with it; a new one takes its place.
  destroy_loop,
};

template <class T>
struct Interrupted {
  // False: the operation ended before this step.
  bool interrupted = false;
  // What it returned; nothing if its loop was destroyed.
  std::optional<T> result;
};

class InterruptibleLoop {
 public:
  explicit InterruptibleLoop(SimulatedClock& clock)
      : clock_(clock), context_(std::make_unique<asio::io_context>(1)) {}

  template <class T>
  Interrupted<T> interrupt(Task<T> operation, std::size_t steps, Interruption how) {
    auto state = std::make_shared<State<T>>();
    asio::cancellation_signal signal;
    start(std::move(operation), state, signal.slot());
    while (!state->begun && step(kNever)) {
    }
    for (std::size_t done = 0; done < steps && !state->ended && step(kNever); ++done) {
    }
    if (state->ended) return {false, take(*state)};
    if (how == Interruption::destroy_loop) {
      context_.reset();
      context_ = std::make_unique<asio::io_context>(1);
      return {true, std::nullopt};
    }
    signal.emit(asio::cancellation_type::terminal);
    finish(*state);
    return {true, take(*state)};
  }

  // Runs an operation to its end, on the loop where the previous one was interrupted.
  template <class T>
  T run(Task<T> operation) {
    auto state = std::make_shared<State<T>>();
    start(std::move(operation), state, asio::cancellation_slot());
    finish(*state);
    return take(*state);
  }

  // Lets this much time pass, and runs whatever is ready.
  void pass(Duration span) {
    static_cast<void>(run(sleep_for(clock_, span)));
  }

 private:
  template <class T>
  struct State {
    bool begun = false;
    bool ended = false;
    std::optional<T> result;
    std::exception_ptr thrown;
  };

  template <class T>
  void start(Task<T> operation, std::shared_ptr<State<T>> state, asio::cancellation_slot slot) {
    auto whole = [](Task<T> work, std::shared_ptr<State<T>> out) -> Task<void> {
      out->begun = true;
      out->result.emplace(co_await std::move(work));
    };
    asio::co_spawn(*context_, whole(std::move(operation), state),
                   asio::bind_cancellation_slot(slot, [state](std::exception_ptr thrown) {
                     state->thrown = thrown;
                     state->ended = true;
                   }));
  }

  template <class T>
  static T take(State<T>& state) {
    if (state.thrown) std::rethrow_exception(state.thrown);
    return std::move(*state.result);
  }

  template <class T>
  void finish(const State<T>& state) {
    const MonotonicTime latest = clock_.after(std::chrono::hours(1));
    while (!state.ended) {
      if (step(latest)) continue;
      throw SimulationStuck("an operation waits for something that cannot come any more");
    }
  }

  // False: nothing is ready, and no timer is left until then.
  bool step(MonotonicTime latest) {
    context_->restart();
    return context_->poll_one() > 0 || clock_.advance_to_next_timer(latest);
  }

  SimulatedClock& clock_;
  std::unique_ptr<asio::io_context> context_;
};

// Calls `round` with 0, 1, ... until it reports that there was nothing left to interrupt. Returns
// how many rounds interrupted something. `most` bounds an operation that never ends (throws
// SimulationStuck).
inline std::size_t at_each_await(const std::function<bool(std::size_t steps)>& round,
                                 std::size_t most = 10'000) {
  for (std::size_t steps = 0; steps < most; ++steps) {
    if (!round(steps)) return steps;
  }
  throw SimulationStuck("an operation has more awaits than at_each_await was told");
}

}  // namespace semper::testing
