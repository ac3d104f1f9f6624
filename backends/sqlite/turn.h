// Turn: which of the processes may commit now.
//
// SQLite lets one writer in at a time and makes the others sleep and try again, in steps of
// milliseconds. A futex in the sidecar wakes the next one at once, and passes the turn of a process
// that died on (process_lock.h). SQLite's own lock still guards the file against anybody who takes
// no turns.
//
// Fairness: the turn goes to whoever is quickest, which is the process that has just released it.
// So a handle that had the turn last, and sees another one waiting, lets that one take it first; it
// waits for that at most kHandOverWait, because the waiting one may have died.
//
// Threads: one thread of a handle takes turns (the committer).
#pragma once

#include "process_lock.h"

namespace semper::sqlite {

// After this the other process is stopped or stuck: commits fail with `retry`.
inline constexpr auto kTurnWait = std::chrono::seconds(10);
inline constexpr auto kHandOverWait = std::chrono::milliseconds(2);

class Turn {
 public:
  explicit Turn(Sidecar& sidecar, Duration wait = kTurnWait)
      : sidecar_(&sidecar), lock_(sidecar, sidecar.shared().turn), wait_(wait) {}

  enum class Kind : std::uint8_t { normal, after_a_death };

  // Error: retry (the wait was in vain).
  Result<Kind> acquire();
  void release() { lock_.let_go(ProcessLock::Wake::one); }

  // Whether who had it died, and nobody has taken it since.
  static bool is_of_the_dead(Sidecar& sidecar);

 private:
  void let_another_go_first();
  Result<Kind> wait();

  Sidecar* sidecar_;
  ProcessLock lock_;
  Duration wait_;
  // The count of acquisitions when this handle had the turn; zero: never.
  std::uint32_t my_last_ = 0;
};

}  // namespace semper::sqlite
