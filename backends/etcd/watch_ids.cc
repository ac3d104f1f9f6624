#include "watch_ids.h"

#include <utility>

namespace semper::etcd {

void WatchIds::reset() {
  *this = WatchIds();
}

std::vector<std::int64_t> WatchIds::want(std::int64_t id) {
  if (whose_ == Whose::ours) return {id};
  if (asked_) {
    waiting_.insert(id);
    return {};
  }
  asked_ = id;
  return {id};
}

WatchIds::Created WatchIds::created(std::int64_t there) {
  Created told;
  if (whose_ == Whose::ours) {
    told.id = there;
    return told;
  }
  told.id = std::exchange(asked_, std::nullopt);
  if (!told.id) return told;
  if (whose_ == Whose::unknown) whose_ = *told.id == there ? Whose::ours : Whose::theirs;
  if (whose_ == Whose::ours) {
    told.send.assign(waiting_.begin(), waiting_.end());
    waiting_.clear();
    return told;
  }
  there_.insert_or_assign(*told.id, there);
  ids_.insert_or_assign(there, *told.id);
  if (!waiting_.empty()) {
    asked_ = *waiting_.begin();
    waiting_.erase(waiting_.begin());
    told.send.push_back(*asked_);
  }
  return told;
}

std::optional<std::int64_t> WatchIds::forget(std::int64_t id) {
  if (whose_ == Whose::ours) return id;
  waiting_.erase(id);
  const auto found = there_.find(id);
  if (found == there_.end()) return std::nullopt;
  const auto there = found->second;
  there_.erase(found);
  ids_.erase(there);
  return there;
}

std::optional<std::int64_t> WatchIds::id_of(std::int64_t there) const {
  if (whose_ == Whose::ours) return there;
  const auto found = ids_.find(there);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

}  // namespace semper::etcd
