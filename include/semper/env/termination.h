// termination: waits for the request to end that a person or a supervisor sends: SIGINT (Ctrl-C) and
// SIGTERM.
//
// What for: programs that serve until they are told to stop, and then stop in order. When not: a
// library (the program decides about its signals), and SIGHUP or SIGUSR1 with a meaning of your own
// (asio::signal_set).
//
//   semper::Task<int> application() {
//     auto end = semper::termination();          // from here on a signal waits for us
//     ...                                        // open the store, start the host
//     static_cast<void>(co_await std::move(end));
//     SEMPER_CO_TRY_STATUS(co_await host.stop());
//   }
//
// From the call on, not only from the co_await, the first SIGINT or SIGTERM is kept for whoever
// waits; any number may, on any executor. Who calls after the signal gets it at once: a process is
// asked to end once. So do not call it in a loop that goes on.
//
// The second signal, of either kind, ends the process as if there were no handler, because an
// orderly end may hang. So does the first one when no wait is left: handlers are installed with the
// first wait and taken away with the last.
//
// Signals of others:
//   - one that is ignored (nohup, a shell's background job) stays ignored;
//   - one that has a handler of somebody else's is left alone: `already_exists`, and nothing is
//     changed. A handler that is installed later replaces ours, and stays when we go;
//   - a signal mask changes nothing: the thread that takes the news accepts these signals, also where
//     all other threads block them. Do not also take them by sigwait or signalfd.
//
// Forked children: the signals do there what they do by default, and a wait of the parent's never
// completes. A child may wait for its own. A terminal sends Ctrl-C to parent and child alike.
//
// Bounds: kTerminationWaiters at once. Threads: any; it starts one, `semper-signals`, which is never
// joined.
#pragma once

#include <cstddef>
#include <cstdint>

#include "semper/env/asio.h"

namespace semper {

inline constexpr std::size_t kTerminationWaiters = 1'000;

// What a terminal that closes (SIGHUP) does.
enum class Hangup : std::uint8_t {
  // It is left alone. Default: supervisors and shells use it for "read your files again".
  is_left_alone,
  // It asks for the end as SIGINT does: for tools that people run in a terminal.
  asks_for_the_end,
};

// Success: the signal's number. Errors: already_exists (above), cancelled (the waiting coroutine
// was), exhausted (kTerminationWaiters wait, or the system gives no thread or descriptor).
Async<int> termination(Hangup hangup = Hangup::is_left_alone);

}  // namespace semper
