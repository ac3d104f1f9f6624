// Backoff: how long to wait before the next attempt.
//
// What for: retry loops. When not: waiting for an event that can be signalled; then wait for it.
//
//   Backoff backoff({.initial = 1ms, .maximum = 100ms}, random);
//   while (!co_await attempt()) SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, backoff.next()));
//
// Waits grow by `factor` from `initial` to `maximum`, each drawn uniformly from its lower half
// upwards ("equal jitter"), so that many callers do not come back together. Threads: one at a time.
#pragma once

#include <algorithm>

#include "semper/env/clock.h"
#include "semper/env/random.h"

namespace semper {

struct BackoffOptions {
  Duration initial = std::chrono::milliseconds(1);
  Duration maximum = std::chrono::seconds(1);
  double factor = 2.0;
};

class Backoff {
 public:
  Backoff(BackoffOptions options, Random& random) : options_(options), random_(&random) { reset(); }

  // The wait before the next attempt: between half and the whole of the current span.
  Duration next();

  // Back to `initial`: after a success.
  void reset() { current_ = std::min(options_.initial, options_.maximum); }

 private:
  BackoffOptions options_;
  Random* random_;
  Duration current_{};
};

}  // namespace semper
