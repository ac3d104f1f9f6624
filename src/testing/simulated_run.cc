#include "semper/testing/simulated_run.h"

#include <string>

namespace semper::testing::internal {
namespace {

constexpr auto kLastWaitForThreads = std::chrono::seconds(10);

}  // namespace

void run_simulated(asio::io_context& context, SimulatedClock& clock,
                   const SimulatedRunOptions& options, const bool& done) {
  const MonotonicTime latest = clock.after(options.time_limit);
  while (true) {
    context.restart();
    while (!done && context.poll_one() > 0) {
    }
    if (done) return;
    if (options.wait_for_threads.count() > 0) {
      context.restart();
      if (context.run_one_for(options.wait_for_threads) > 0) continue;
    }
    if (clock.advance_to_next_timer(latest)) continue;
    if (options.wait_for_threads.count() > 0) {
      // Only another thread can help now, and it may be slow: a disk under load.
      context.restart();
      if (context.run_one_for(kLastWaitForThreads) > 0) continue;
    }
    const auto next = clock.next_timer();
    throw SimulationStuck(
        next && *next != kNever
            ? "the simulation is stuck: the next timer is past the time limit of " +
                  std::to_string(
                      std::chrono::duration_cast<std::chrono::seconds>(options.time_limit)
                          .count()) +
                  " simulated seconds"
            : std::string("the simulation is stuck: nothing is ready to run, and no timer is left "
                          "that could wake anything"));
  }
}

}  // namespace semper::testing::internal
