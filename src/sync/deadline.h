// Until when a call of a ring or of a journal waits.
#pragma once

#include "semper/env/clock.h"
#include "semper/ring/options.h"

namespace semper::sync {

// No time to wait: what is not there at once is an error.
inline MonotonicTime deadline_of(const Clock& clock, Duration timeout) {
  return timeout <= Duration::zero() ? ring::kNoWait : clock.after(timeout);
}

}  // namespace semper::sync
