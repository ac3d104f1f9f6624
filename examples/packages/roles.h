// What each process does.
#pragma once

#include <chrono>

#include "options.h"
#include "process.h"

namespace packages {

// A consumer that is killed is missed after this long, and the others take its packages over.
inline constexpr std::chrono::seconds kHostLease{1};

// Each returns the process's exit code. `signals` was made before any thread.
int run_coordinator(const Options& options, StopSignals& signals);
int run_consumer(const Options& options, StopSignals& signals);
int run_publisher(const Options& options);

// "semper-packages: ..." on standard error; returns 1.
int explain(const semper::Error& error);

}  // namespace packages
