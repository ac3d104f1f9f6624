#include "server/serve/left_alone.h"

#include <algorithm>

#include "semper/base/internal/mutant.h"
#include "server/serve/waiting.h"

namespace semper::internal {

Duration LeftAlone::until_look(const std::string& id, bool is_marked, MonotonicTime now) {
  if (is_empty()) return Duration(0);
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(id);
  if (found == entries_.end()) {
    return is_marked && entries_.size() >= kLeftAloneEntities ? kLeftAloneLook : Duration(0);
  }
  Entry& entry = found->second;
  // Scanners come by after kSafetyInterval at the latest.
  entry.waited = entry.attention.look(now, step_maximum(kSafetyInterval));
  if (SEMPER_MUTANT("server_left_alone_looked_at_all_the_time")) return Duration(0);
  const Duration interval = is_marked ? kLeftAloneLook : kLeftAloneMark;
  const Duration until = entry.looked + interval - now;
  const bool is_message = entry.head != QueuePlace();
  if (!is_message) return std::max(Duration(0), until);
  return std::max(Duration(0), std::min(until, wait_ - entry.waited));
}

LeftAlone::Left LeftAlone::leave(const std::string& id, const QueuePlace& head, MonotonicTime now) {
  std::lock_guard lock(mutex_);
  auto [place, is_new] = entries_.try_emplace(id);
  if (is_new) order_.push_back(id);
  is_new = is_new || place->second.head != head;
  if (is_new) place->second = Entry();
  Entry& entry = place->second;
  entry.head = head;
  entry.looked = now;
  entry.waited = entry.attention.look(now, step_maximum(kSafetyInterval));
  Left left{is_new, !entry.was_marked || now - entry.marked >= kLeftAloneMark, entry.waited};
  if (left.wants_mark) entry.marked = now;
  entry.was_marked = true;
  while (entries_.size() > kLeftAloneEntities || order_.size() > 2 * kLeftAloneEntities) {
    entries_.erase(order_.front());
    order_.pop_front();
  }
  count_.store(entries_.size(), std::memory_order_relaxed);
  return left;
}

void LeftAlone::forget(const std::string& id) {
  std::lock_guard lock(mutex_);
  entries_.erase(id);
  count_.store(entries_.size(), std::memory_order_relaxed);
}

void LeftAlone::adopt(const std::string& id) {
  std::lock_guard lock(mutex_);
  if (adopted_.size() >= kLeftAloneEntities) adopted_.clear();
  adopted_.insert(id);
}

bool LeftAlone::is_adopted(const std::string& id) const {
  std::lock_guard lock(mutex_);
  return adopted_.contains(id);
}

}  // namespace semper::internal
