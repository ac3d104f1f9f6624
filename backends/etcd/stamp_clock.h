// StampClock: chooses the versions of commits.
//
// A request is applied only if its version is above that of the last commit of anybody, so that
// versions are in the order of commits, also across processes. Each takes the time of day in
// microseconds, so that requests that are on their way together rarely overtake each other's; a
// clock that runs behind those of others is corrected by what was seen of theirs. Nothing but the
// order of versions is promised: a clock may be wrong or jump.
//
// Threads: any.
#pragma once

#include <mutex>

#include "semper/env/clock.h"
#include "semper/store/backend.h"

namespace semper::etcd {

class StampClock {
 public:
  explicit StampClock(const Clock& clock) : clock_(&clock) {}

  // The first of `count` versions in a row, above all that was seen.
  Version next(std::size_t count) {
    std::lock_guard lock(mutex_);
    const Version first = std::max(last_ + 1, now() + ahead_);
    last_ = first + count - 1;
    return first;
  }

  // A version that somebody has committed.
  void saw(Version version) {
    std::lock_guard lock(mutex_);
    last_ = std::max(last_, version);
    const Version here = now() + ahead_;
    if (version > here) ahead_ += version - here;
  }

 private:
  Version now() const {
    const auto since = clock_->wall_time().time_since_epoch();
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(since).count();
    return us < 0 ? 0 : static_cast<Version>(us);
  }

  const Clock* const clock_;
  std::mutex mutex_;
  Version last_ = 0;
  Version ahead_ = 0;  // of other clocks, in microseconds
};

}  // namespace semper::etcd
