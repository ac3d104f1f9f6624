#include "process_lock.h"

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::sqlite {
namespace {

std::uint32_t owner_in(std::uint32_t word) {
  return word & ~kTurnWaiters;
}

}  // namespace

bool ProcessLock::try_take() {
  std::uint32_t free = kTurnFree;
  return word_->compare_exchange_strong(free, mine());
}

ProcessLock::Taken ProcessLock::take_or_wait() {
  std::uint32_t seen = word_->load();
  const std::uint32_t owner = owner_in(seen);
  if (owner == kTurnFree || owner == kTurnOfTheDead) {
    // Others may wait still: letting it go wakes them.
    if (!word_->compare_exchange_strong(seen, mine() | kTurnWaiters)) return Taken::no;
    return owner == kTurnFree ? Taken::yes : Taken::after_a_death;
  }
  if ((seen & kTurnWaiters) == 0) {
    if (!word_->compare_exchange_strong(seen, seen | kTurnWaiters)) return Taken::no;
    seen |= kTurnWaiters;
  }
  futex_wait(*word_, seen, kDeathLook);
  const bool looks = !SEMPER_MUTANT("sqlite_turn_of_the_dead_kept");
  if (looks && word_->load() == seen) {
    // Nobody else can be its owner under the same number.
    sidecar_->if_dead(owner - 1,
                      [&] { word_->compare_exchange_strong(seen, kTurnOfTheDead | kTurnWaiters); });
  }
  return Taken::no;
}

void ProcessLock::let_go(Wake whom) {
  const std::uint32_t before = word_->exchange(kTurnFree);
  SEMPER_ASSERT(owner_in(before) == mine(), "only its owner lets a lock go");
  if ((before & kTurnWaiters) == 0) return;
  if (whom == Wake::one) return futex_wake_one(*word_);
  futex_wake_all(*word_);
}

}  // namespace semper::sqlite
