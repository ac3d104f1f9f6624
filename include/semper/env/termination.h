// termination: waits until a person or a supervisor asks the program to end: SIGINT (Ctrl-C) and
// SIGTERM.
//
// What for: programs that run until they are told to stop, and then shut down cleanly. When not: in
// a library (the program decides about its signals), and for SIGHUP or SIGUSR1 with your own
// meaning (use asio::signal_set).
//
//   semper::Task<int> application() {
//     auto end = semper::termination();          // from here on a signal waits for us
//     ...                                        // open the store, start the host
//     static_cast<void>(co_await std::move(end));
//     const auto stopped = co_await host.stop();
//     co_return stopped ? 0 : 1;
//   }
//
// From the call on, not only from the co_await, the first SIGINT or SIGTERM is kept for the
// waiters, of which there may be any number, on any executor. A call after the signal returns it at
// once, because a process is asked to end only once. So do not call it in a loop that continues.
//
// The second signal, of either kind, ends the process as if there were no handler, because a clean
// shutdown may hang. So does the first signal when no wait is left: handlers are installed with the
// first wait and removed with the last.
//
// Interaction with other handlers:
//   - a signal that is ignored (nohup, a shell's background job) stays ignored;
//   - a signal that already has another handler is left alone: `already_exists`, and nothing
//     changes. A handler that is installed later replaces ours, and stays when ours is removed;
//   - a signal mask has no effect: the thread that receives the signals accepts them even if all
//     other threads block them. Do not also use sigwait or signalfd for them.
//
// Forked children: the signals have their default effect there, and the parent's waits never
// complete. A child may start its own wait. A terminal sends Ctrl-C to parent and child alike.
//
// Bounds: kTerminationWaiters concurrent waits. Threads: any; it starts one, `semper-signals`,
// which is never joined.
#pragma once

#include <cstddef>
#include <cstdint>

#include "semper/env/asio.h"

namespace semper {

inline constexpr std::size_t kTerminationWaiters = 1'000;

// What happens when the terminal closes (SIGHUP).
enum class Hangup : std::uint8_t {
  // It is left alone (the default): supervisors and shells use SIGHUP for "read your files again".
  is_left_alone,
  // It asks the program to end, as SIGINT does: for tools that people run in a terminal.
  asks_for_the_end,
};

// Success: the signal's number. Errors: already_exists (above), cancelled (the waiting coroutine
// was), exhausted (kTerminationWaiters wait, or the system gives no thread or descriptor).
Async<int> termination(Hangup hangup = Hangup::is_left_alone);

}  // namespace semper
