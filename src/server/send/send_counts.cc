#include "server/send/send_counts.h"

#include "semper/server/message.h"

namespace semper::internal {
namespace {

// Coprime to the interval: those that begin anew are spread over it.
constexpr std::uint64_t kStep = 617;

}  // namespace

bool SendCounts::add(const Bytes& pushed_key, std::uint64_t messages) {
  std::lock_guard lock(mutex_);
  const auto found = counts_.find(pushed_key);
  if (found != counts_.end()) return (found->second += messages) >= kQueueCheckInterval;
  if (counts_.size() >= kSendCounts) {
    std::erase_if(counts_, [](const auto& entry) { return entry.second < kQueueCheckInterval; });
    if (counts_.size() >= kSendCounts) counts_.clear();
    has_overflowed_ = true;
  }
  const std::uint64_t count = beginning_ + messages;
  if (has_overflowed_) beginning_ = (beginning_ + kStep) % kQueueCheckInterval;
  counts_.emplace(pushed_key, count);
  return count >= kQueueCheckInterval;
}

void SendCounts::looked(const Bytes& pushed_key, bool is_full) {
  std::lock_guard lock(mutex_);
  counts_[pushed_key] = is_full ? kQueueCheckInterval : 0;
}

}  // namespace semper::internal
