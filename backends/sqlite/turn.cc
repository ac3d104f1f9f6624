#include "turn.h"

#include <chrono>

namespace semper::sqlite {
namespace {

using SteadyClock = std::chrono::steady_clock;

}  // namespace

Result<Turn::Kind> Turn::acquire() {
  auto& shared = sidecar_->shared();
  let_another_go_first();
  Kind kind = Kind::normal;
  if (!lock_.try_take()) {
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
  const auto deadline = SteadyClock::now() + wait_;
  do {
    const auto taken = lock_.take_or_wait();
    if (taken == ProcessLock::Taken::yes) return Kind::normal;
    if (taken == ProcessLock::Taken::after_a_death) return Kind::after_a_death;
  } while (SteadyClock::now() < deadline);
  return fail(
      ErrorKind::retry,
      "another process has had its turn to commit for " +
          std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(wait_).count()) +
          " ms; it is stopped or stuck: continue or end it, then try again");
}

bool Turn::is_of_the_dead(Sidecar& sidecar) {
  const std::uint32_t owner = sidecar.shared().turn.load() & ~kTurnWaiters;
  if (owner == kTurnFree || owner == kTurnOfTheDead) return owner == kTurnOfTheDead;
  return sidecar.is_dead(owner - 1);
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
