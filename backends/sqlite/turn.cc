#include "turn.h"

#include <cerrno>
#include <ctime>

#include "semper/base/assert.h"

namespace semper::sqlite {
namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

Result<Turn::Kind> Turn::acquire() {
  auto& shared = sidecar_->shared();
  let_another_go_first();
  int code = pthread_mutex_trylock(&shared.turn);
  if (code == EBUSY) {
    sidecar_->mine().wants_turn.store(1);
    struct timespec deadline {};
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    const auto nanoseconds = deadline.tv_nsec + wait_.count();
    deadline.tv_sec += nanoseconds / kNanosecondsPerSecond;
    deadline.tv_nsec = nanoseconds % kNanosecondsPerSecond;
    code = pthread_mutex_clocklock(&shared.turn, CLOCK_MONOTONIC, &deadline);
    sidecar_->mine().wants_turn.store(0);
  }
  Kind kind = Kind::normal;
  if (code == EOWNERDEAD) {
    pthread_mutex_consistent(&shared.turn);
    kind = Kind::after_a_death;
    code = 0;
  }
  if (code == ETIMEDOUT) {
    return fail(
        ErrorKind::retry,
        "another process has had its turn to commit for " +
            std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(wait_).count()) +
            " ms; it is stopped or stuck: continue or end it, then try again");
  }
  if (code != 0) return fail(error_from_errno(code, "can not take the turn to commit"));
  my_last_ = shared.acquisitions.fetch_add(1) + 1;
  return kind;
}

void Turn::release() {
  auto& shared = sidecar_->shared();
  const int code = pthread_mutex_unlock(&shared.turn);
  SEMPER_ASSERT(code == 0, "only the owner of the turn releases it");
}

void Turn::let_another_go_first() {
  auto& shared = sidecar_->shared();
  if (my_last_ == 0 || shared.acquisitions.load() != my_last_) return;
  bool wanted = false;
  sidecar_->for_each_other(
      [&](SidecarEntry& entry) { wanted = wanted || entry.wants_turn.load() != 0; });
  if (!wanted) return;
  // The mutex wakes the waiting one; this only keeps out of its way.
  const auto give_up = std::chrono::steady_clock::now() + kHandOverWait;
  while (shared.acquisitions.load() == my_last_) {
    if (std::chrono::steady_clock::now() >= give_up) {
      sidecar_->reap_dead_entries();
      return;
    }
    futex_wait(shared.acquisitions, my_last_, std::chrono::microseconds(100));
  }
}

}  // namespace semper::sqlite
