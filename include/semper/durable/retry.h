// RetryOptions: how soon something that keeps failing is tried again.
//
// What for: the options of durable.h and stream.h. When not: a loop of your own; use env/backoff.h.
//
//   options.retry = semper::RetryOptions{.initial = 100ms, .maximum = 30s};
//
// The range of the pauses grows from `initial` to `maximum`, and each pause is drawn from the whole
// range ("full jitter", but never under half of `initial`), so that a thousand clients of one dead
// server do not come back together. The range starts again at `initial` after a success that lasted
// or, in a Durable, after a useful one: an f on the value succeeded. So connections that break
// immediately are slowed down too.
// Idea: Brooker, "Exponential Backoff And Jitter" (2015).
#pragma once

#include <cstdint>

#include "semper/env/env.h"

namespace semper {

struct RetryOptions {
  // The first pause. Default 100 ms.
  Duration initial = std::chrono::milliseconds(100);
  // The longest pause. Default 10 s: how long people are willing to wait for a service that is
  // back.
  Duration maximum = std::chrono::seconds(10);
  // The factor by which the range grows from one pause to the next.
  double factor = 2.0;
  // A success that lasts this long clears the failures before it. Default 10 s.
  Duration healthy_after = std::chrono::seconds(10);
};

// True for errors that the same attempt will get again until somebody changes something:
// invalid_argument, unsupported, permission. For the `is_permanent` of options, whose default
// treats no error as permanent.
inline bool is_permanent_error(const Error& error) {
  return error.kind() == ErrorKind::invalid_argument || error.kind() == ErrorKind::unsupported ||
         error.kind() == ErrorKind::permission;
}

// True for errors after which the state of a connection is unknown: io, timeout, closed, cancelled,
// outcome_unknown, corrupt. For DurableOptions::breaks_on.
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
