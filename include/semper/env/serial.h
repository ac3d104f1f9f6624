// serial_executor: where handlers that share state without a lock run, one at a time.
//
// What for: coroutines that are cancelled by a signal of Asio's, which is not thread-safe. When not:
// mutual exclusion between coroutines that wait; it orders handlers, not whole coroutines.
//
//   asio::co_spawn(serial_executor(executor), work(), ...);
//
// A strand, unless one thread runs the execution context anyway: then the executor itself, and each
// resumption is one hop in the place of two.
//
// Threads: any.
#pragma once

#include "semper/env/asio.h"

namespace semper {

// Runs handlers over `executor`, one at a time. Two calls give two that do not wait for each other.
Executor serial_executor(const Executor& executor);

// A promise that no second thread will ever run this context; Scheduler and run() give it for theirs
// where they have one thread. Before the first serial_executor on it.
void declare_single_threaded(asio::execution_context& context);

}  // namespace semper
