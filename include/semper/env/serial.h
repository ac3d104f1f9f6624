// serial_executor: runs handlers that share state without a lock, one at a time.
//
// What for: coroutines that are cancelled by Asio's signals, which are not thread-safe. When not:
// mutual exclusion between coroutines that wait; it serializes handlers, not whole coroutines.
//
//   asio::co_spawn(serial_executor(executor), work(), asio::detached);
//
// It is a strand, unless only one thread runs the execution context: then it is the executor
// itself, and each resumption takes one hop instead of two.
//
// Threads: any.
#pragma once

#include "semper/env/asio.h"

namespace semper {

// Runs handlers over `executor`, one at a time. Two calls give two independent executors.
Executor serial_executor(const Executor& executor);

// A promise that no second thread will ever run this context; Scheduler and run() make it for their
// contexts if they have one thread. Call it before the first serial_executor on the context.
void declare_single_threaded(asio::execution_context& context);

}  // namespace semper
