// Turn: which of the processes may commit now.
//
// SQLite lets one writer in at a time and makes the others sleep and try again, in steps of
// milliseconds. A futex in the sidecar wakes the next one at once. It names its owner by the entry
// in the sidecar's table, whose lock the kernel drops with the process: who waits looks for that
// every kDeathLook, takes the turn of a dead owner, and is told so. Threads' numbers, by which the
// system's robust mutexes know their owner, mean different threads in containers with PIDs of their
// own. SQLite's own lock still guards the file against anybody who takes no turns.
//
// Fairness: the turn goes to whoever is quickest, which is the process that has just released it.
// So a handle that had the turn last, and sees another one waiting, lets that one take it first; it
// waits for that at most kHandOverWait, because the waiting one may have died.
//
// Threads: one thread of a handle takes turns (the committer).
#pragma once

#include "sidecar.h"

namespace semper::sqlite {

// After this the other process is stopped or stuck: commits fail with `retry`.
inline constexpr auto kTurnWait = std::chrono::seconds(10);
inline constexpr auto kHandOverWait = std::chrono::milliseconds(2);
inline constexpr auto kDeathLook = std::chrono::milliseconds(5);

class Turn {
 public:
  explicit Turn(Sidecar& sidecar, Duration wait = kTurnWait) : sidecar_(&sidecar), wait_(wait) {}

  enum class Kind : std::uint8_t { normal, after_a_death };

  // Error: retry (the wait was in vain).
  Result<Kind> acquire();
  void release();

 private:
  void let_another_go_first();
  Result<Kind> wait();
  std::uint32_t mine() const { return static_cast<std::uint32_t>(sidecar_->my_entry() + 1); }

  Sidecar* sidecar_;
  Duration wait_;
  // The count of acquisitions when this handle had the turn; zero: never.
  std::uint32_t my_last_ = 0;
};

}  // namespace semper::sqlite
