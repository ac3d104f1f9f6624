#include "server/serve/waiting_heads.h"

#include <algorithm>

#include "semper/base/internal/mutant.h"

namespace semper::internal {

void WaitingHeads::look(const std::string& id, Version head, MonotonicTime now) {
  std::lock_guard lock(mutex_);
  const auto known = heads_.find(id);
  if (known != heads_.end()) {
    known->second.version = head;
    known->second.seen = now;
  } else if (heads_.size() < kHeadsWatched) {
    heads_.emplace(id, Head{head, now});
    count_.store(heads_.size(), std::memory_order_relaxed);
  }
}

void WaitingHeads::gone(const std::string& id) {
  if (count_.load(std::memory_order_relaxed) == 0) return;
  if (SEMPER_MUTANT("server_head_of_an_empty_queue_is_kept")) return;
  std::lock_guard lock(mutex_);
  heads_.erase(id);
  count_.store(heads_.size(), std::memory_order_relaxed);
}

void WaitingHeads::held(const std::string& id) {
  std::lock_guard lock(mutex_);
  const auto known = heads_.find(id);
  if (known != heads_.end()) known->second.is_held = true;
}

void WaitingHeads::released(const std::string& id, MonotonicTime now) {
  std::lock_guard lock(mutex_);
  const auto known = heads_.find(id);
  if (known == heads_.end()) return;
  known->second.is_held = false;
  known->second.seen = now;
}

Duration WaitingHeads::oldest(const VersionTimes& times, MonotonicTime now) {
  Duration oldest{};
  std::lock_guard lock(mutex_);
  std::erase_if(heads_, [&](const auto& head) {
    return !head.second.is_held && now - head.second.seen > kHeadsSeen;
  });
  count_.store(heads_.size(), std::memory_order_relaxed);
  for (const auto& [id, head] : heads_) {
    oldest = std::max(oldest, times.age_of(head.version, now).value_or(Duration()));
  }
  return oldest;
}

std::size_t WaitingHeads::size() const {
  return count_.load(std::memory_order_relaxed);
}

}  // namespace semper::internal
