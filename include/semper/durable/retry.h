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

namespace internal {

// The pauses of one RetryOptions. Not thread-safe.
class Pauses {
 public:
  Pauses(const RetryOptions& options, Random& random);

  Duration next();
  void reset() { span_ = shortest_ * 2; }

 private:
  Duration shortest_;
  Duration maximum_;
  double factor_;
  Random* random_;
  Duration span_{};
};

// When the next attempt may begin. Not thread-safe.
class Pace {
 public:
  Pace(const RetryOptions& options, const Env& env)
      : healthy_after_(options.healthy_after), clock_(env.clock), pauses_(options, *env.random) {}

  void failed() {
    healthy_since_ = kNever;
    next_attempt_ = clock_->after(pauses_.next());
  }
  void succeeded() {
    healthy_since_ = clock_->now();
    next_attempt_ = clock_->after(pauses_.next());
  }
  void reset() {
    pauses_.reset();
    healthy_since_ = kNever;
    next_attempt_ = MonotonicTime::min();
  }
  // Not later than now where an attempt is due.
  MonotonicTime next_attempt() {
    if (healthy_since_ != kNever && clock_->now() - healthy_since_ >= healthy_after_) reset();
    return next_attempt_;
  }

 private:
  Duration healthy_after_;
  Clock* clock_;
  Pauses pauses_;
  MonotonicTime healthy_since_ = kNever;
  MonotonicTime next_attempt_ = MonotonicTime::min();
};

}  // namespace internal
}  // namespace semper
