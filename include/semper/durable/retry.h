// RetryOptions: how fast something that keeps failing is tried again.
//
// What for: the options of durable.h and stream.h. When not: a loop of your own; use env/backoff.h.
//
//   options.retry = semper::RetryOptions{.initial = 100ms, .maximum = 30s};
//
// The span of the pauses grows from `initial` to `maximum`, and each pause is drawn from all of it
// ("full jitter", but never under half of `initial`), so that a thousand clients of one dead server
// do not come back together. The span begins again at `initial` after a success that lasted, and in
// a Durable after one that was of use: an f on it succeeded. What connects and breaks at once is
// slowed down too.
// Idea: Brooker, "Exponential Backoff And Jitter" (2015).
#pragma once

#include <cstdint>

#include "semper/env/env.h"

namespace semper {

struct RetryOptions {
  // The first pause. Default 100 ms.
  Duration initial = std::chrono::milliseconds(100);
  // The longest pause. Default 10 s: what a person waits for a service that is back.
  Duration maximum = std::chrono::seconds(10);
  // What the span of each pause is multiplied with for the next one.
  double factor = 2.0;
  // A success that lasted as long forgets the failures before it. Default 10 s.
  Duration healthy_after = std::chrono::seconds(10);
};

// True for errors that the same attempt will meet again until somebody changes something:
// invalid_argument, unsupported, permission. For the `is_permanent` of options; the default there
// takes nothing for permanent.
inline bool is_permanent_error(const Error& error) {
  return error.kind() == ErrorKind::invalid_argument || error.kind() == ErrorKind::unsupported ||
         error.kind() == ErrorKind::permission;
}

// True for errors after which nobody knows what a connection is in the middle of: io, timeout,
// closed, cancelled, outcome_unknown, corrupt. For DurableOptions::breaks_on.
inline bool is_connection_error(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::io:
    case ErrorKind::timeout:
    case ErrorKind::closed:
    case ErrorKind::cancelled:
    case ErrorKind::outcome_unknown:
    case ErrorKind::corrupt:
      return true;
    default:
      return false;
  }
}

}  // namespace semper
