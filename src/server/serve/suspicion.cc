#include "server/serve/suspicion.h"

#include <algorithm>

namespace semper::internal {

void Suspicion::clear() {
  std::lock_guard lock(mutex_);
  is_due_.store(false, std::memory_order_release);
  before_.store(0, std::memory_order_release);
  renewals_.store(0, std::memory_order_release);
}

bool Suspicion::covers(Version message, Version now) {
  if (is_due_.load(std::memory_order_acquire)) {
    std::lock_guard lock(mutex_);
    if (is_due_.load(std::memory_order_relaxed)) {
      before_.store(std::max(before_.load(), now), std::memory_order_release);
      number_.fetch_add(1, std::memory_order_acq_rel);
      is_due_.store(false, std::memory_order_release);
    }
  }
  return message <= before_.load(std::memory_order_acquire);
}

}  // namespace semper::internal
