#include "turn.h"

#include <chrono>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::sqlite {
namespace {

using SteadyClock = std::chrono::steady_clock;

std::uint32_t owner_in(std::uint32_t word) {
  return word & ~kTurnWaiters;
}

}  // namespace

Result<Turn::Kind> Turn::acquire() {
  auto& shared = sidecar_->shared();
  let_another_go_first();
  Kind kind = Kind::normal;
  std::uint32_t free = kTurnFree;
  if (!shared.turn.compare_exchange_strong(free, mine())) {
    sidecar_->mine().wants_turn.store(1);
    const auto waited = wait();
    sidecar_->mine().wants_turn.store(0);
    if (!waited) return waited;
    kind = *waited;
  }
  my_last_ = shared.acquisitions.fetch_add(1) + 1;
  return kind;
}

Result<Turn::Kind> Turn::wait() {
  auto& word = sidecar_->shared().turn;
  const auto deadline = SteadyClock::now() + wait_;
  while (true) {
    std::uint32_t seen = word.load();
    const std::uint32_t owner = owner_in(seen);
    if (owner == kTurnFree || owner == kTurnOfTheDead) {
      // Others may wait still: releasing it wakes one of them.
      if (!word.compare_exchange_weak(seen, mine() | kTurnWaiters)) continue;
      return owner == kTurnFree ? Kind::normal : Kind::after_a_death;
    }
    if (SteadyClock::now() >= deadline) break;
    if ((seen & kTurnWaiters) == 0) {
      if (!word.compare_exchange_weak(seen, seen | kTurnWaiters)) continue;
      seen |= kTurnWaiters;
    }
    futex_wait(word, seen, kDeathLook);
    const bool looks = !SEMPER_MUTANT("sqlite_turn_of_the_dead_kept");
    if (looks && word.load() == seen && sidecar_->is_dead(owner - 1)) {
      word.compare_exchange_strong(seen, kTurnOfTheDead | kTurnWaiters);
    }
  }
  return fail(
      ErrorKind::retry,
      "another process has had its turn to commit for " +
          std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(wait_).count()) +
          " ms; it is stopped or stuck: continue or end it, then try again");
}

void Turn::release() {
  auto& word = sidecar_->shared().turn;
  const std::uint32_t before = word.exchange(kTurnFree);
  SEMPER_ASSERT(owner_in(before) == mine(), "only the owner of the turn releases it");
  if ((before & kTurnWaiters) != 0) futex_wake_one(word);
}

void Turn::let_another_go_first() {
  auto& shared = sidecar_->shared();
  if (my_last_ == 0 || shared.acquisitions.load() != my_last_) return;
  bool wanted = false;
  sidecar_->for_each_other(
      [&](SidecarEntry& entry) { wanted = wanted || entry.wants_turn.load() != 0; });
  if (!wanted) return;
  // The word wakes the waiting one; this only keeps out of its way.
  const auto give_up = SteadyClock::now() + kHandOverWait;
  while (shared.acquisitions.load() == my_last_) {
    if (SteadyClock::now() >= give_up) {
      sidecar_->reap_dead_entries();
      return;
    }
    futex_wait(shared.acquisitions, my_last_, std::chrono::microseconds(100));
  }
}

}  // namespace semper::sqlite
