// The loop of simulated_run.h.
#pragma once

#include "semper/env/asio.h"

namespace semper::testing {

class SimulatedClock;
struct SimulatedRunOptions;

namespace internal {

// Runs handlers and timers until `done`.
void run_simulated(asio::io_context& context, SimulatedClock& clock,
                   const SimulatedRunOptions& options, const bool& done);

}  // namespace internal
}  // namespace semper::testing
