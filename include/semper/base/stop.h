// StopToken: whether work has been asked to stop; by another thread, a signal, a lost lock.
//
// What for: work that looks at it between its steps, such as `handle_locked`, a name's owner, or a
// backup. When not: to end a coroutine that waits; use Asio's cancellation.
//
//   semper::StopSource stop;
//   std::thread worker([token = stop.get_token()] {
//     while (!token.stop_requested()) do_a_step();
//   });
//   const semper::StopCallback wake(stop.get_token(), [&] { news.notify_one(); });
//   stop.request_stop();                                      // runs it
//
// They are std::stop_token, std::stop_source and std::stop_callback where the standard library has
// them, and the same in our words where not (libc++ up to version 17).
//
// Ownership: tokens and callbacks share the state of their source, which may end before them.
// Threads: any. Nothing fails; a callback must not throw.
#pragma once

#include <version>

#ifdef __cpp_lib_jthread
#include <stop_token>
#include <utility>
#else
#include "semper/base/internal/own_stop.h"
#endif

namespace semper {

#ifdef __cpp_lib_jthread

using StopToken = std::stop_token;
using StopSource = std::stop_source;

// Runs `function` once when the stop is requested, on the thread that requests it; at once where it
// was before. Its destructor waits for a function that runs.
template <class Function>
class StopCallback : public std::stop_callback<Function> {
 public:
  using std::stop_callback<Function>::stop_callback;
};
template <class Function>
StopCallback(StopToken, Function) -> StopCallback<Function>;

#else

using StopToken = internal::OwnStopToken;
using StopSource = internal::OwnStopSource;

template <class Function>
class StopCallback : public internal::OwnStopCallback<Function> {
 public:
  using internal::OwnStopCallback<Function>::OwnStopCallback;
};
template <class Function>
StopCallback(StopToken, Function) -> StopCallback<Function>;

#endif

}  // namespace semper
