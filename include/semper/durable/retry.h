// RetryOptions: how fast something that keeps failing is tried again.
//
// What for: the options of durable.h and stream.h. When not: a loop of your own; use env/backoff.h.
//
//   options.retry = semper::RetryOptions{.initial = 100ms, .maximum = 30s};
//
// Pauses grow from `initial` to `maximum`, each drawn from the upper half of its span, so that a
// thousand clients of one dead server do not come back together. They start again at `initial` only
// after a success that lasted: what connects and breaks at once is slowed down too.
#pragma once

#include <cstdint>

#include "semper/env/backoff.h"
#include "semper/env/env.h"

namespace semper {

struct RetryOptions {
  // The first pause. Default 100 ms.
  Duration initial = std::chrono::milliseconds(100);
  // The longest pause. Default 10 s: what a person waits for a service that is back.
  Duration maximum = std::chrono::seconds(10);
  // What each pause is multiplied with for the next one.
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

namespace internal {

// When the next attempt may begin. Not thread-safe.
class Pace {
 public:
  Pace(const RetryOptions& options, const Env& env)
      : healthy_after_(options.healthy_after),
        clock_(env.clock),
        backoff_({options.initial, options.maximum, options.factor}, *env.random) {}

  void failed() {
    healthy_since_ = kNever;
    next_attempt_ = clock_->after(backoff_.next());
  }
  void succeeded() {
    healthy_since_ = clock_->now();
    next_attempt_ = clock_->after(backoff_.next());
  }
  void reset() {
    backoff_.reset();
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
  Backoff backoff_;
  MonotonicTime healthy_since_ = kNever;
  MonotonicTime next_attempt_ = MonotonicTime::min();
};

}  // namespace internal
}  // namespace semper
