// ProcessLock: a lock among the processes that have a store open, in a word of the sidecar.
//
// The word names its owner by the entry in the sidecar's table, whose lock the kernel drops with
// the process. Who waits looks for that every kDeathLook, takes the lock of a dead owner, and is
// told so. Threads' numbers, by which the system's robust mutexes know their owner, mean different
// threads in containers with PIDs of their own.
//
// Threads: any.
#pragma once

#include "sidecar.h"

namespace semper::sqlite {

inline constexpr auto kDeathLook = std::chrono::milliseconds(5);

class ProcessLock {
 public:
  ProcessLock(Sidecar& sidecar, std::atomic<std::uint32_t>& word)
      : sidecar_(&sidecar), word_(&word) {}

  enum class Taken : std::uint8_t { no, yes, after_a_death };

  // Where it is free, and nobody has to be waited for.
  bool try_take();
  // The word without who waits: kTurnFree, kTurnOfTheDead, or the owner.
  std::uint32_t owner() const { return word_->load() & ~kTurnWaiters; }
  // Takes it where it is free by now, or its owner has died; else waits, kDeathLook at most.
  Taken take_or_wait();

  // Wakes one of those who wait, or all of them: those who may find that they need it no more.
  enum class Wake : std::uint8_t { one, all };
  void let_go(Wake whom);

 private:
  std::uint32_t mine() const { return static_cast<std::uint32_t>(sidecar_->my_entry() + 1); }

  Sidecar* sidecar_;
  std::atomic<std::uint32_t>* word_;
};

}  // namespace semper::sqlite
