// What can be known of a loop from outside.
//
// What for: waits for coroutines that may never go on (a server's shutdown). When not: whether a
// loop is blocked; nothing says that.
//
// The loop's context must be there. Any executor over an io_context (a Scheduler's) or an
// asio::thread_pool, strands included; of others nothing is known.
//
// Threads: any.
#pragma once

#include "semper/env/asio.h"

namespace semper::internal {

// It was stopped: what is posted to it waits until somebody runs it again.
bool is_stopped(const Executor& executor);

// The calling thread is running one of its handlers.
bool is_run_by_this_thread(const Executor& executor);

}  // namespace semper::internal
