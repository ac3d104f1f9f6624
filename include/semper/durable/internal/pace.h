// When something that keeps failing may be tried again, by its RetryOptions.
#pragma once

#include "semper/durable/retry.h"

namespace semper::internal {

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

}  // namespace semper::internal
