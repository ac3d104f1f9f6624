#include "server/serve/served_type.h"

#include <set>
#include <stdexcept>
#include <typeinfo>
#include <utility>
#include <vector>

namespace semper::internal {

void check_names(const Behaviour& behaviour) {
  const std::string type = behaviour.type();
  const Status valid = EntityId{type, "id"}.validate();
  if (!valid) {
    throw std::logic_error("a behaviour cannot have the name \"" + to_printable(type, 256) +
                           "\": " + valid.error().message() + "; give it a kName");
  }
  std::set<std::string> names;
  for (const auto& message : behaviour.messages()) {
    bool is_new = names.insert(message.name).second;
    for (const auto& former : message.former_names) is_new = names.insert(former).second && is_new;
    if (is_new) continue;
    throw std::logic_error("type " + type + " has two messages of the name " + message.name +
                           "; give one of them a kName of its own");
  }
}

ServedType::ServedType(std::shared_ptr<HostCore> core, std::shared_ptr<Behaviour> behaviour,
                       ServeOptions options)
    : served_(
          std::make_shared<const ServedBehaviour>(std::move(core), std::move(behaviour), options)),
      groups_(std::make_shared<Groups>(served_)),
      local_groups_(std::make_shared<LocalGroups>(served_)) {}

void ServedType::connect() {
  relayed_ = std::make_shared<RelayedCasts>(
      served_, [weak = weak_from_this()](const std::string& id) -> std::shared_ptr<Slot> {
        const auto self = weak.lock();
        return self ? self->slot(id) : nullptr;
      });
  Throttle* const throttle = served_->throttle();
  if (throttle == nullptr) return;
  throttle->call_with([weak = weak_from_this()](const std::string& id) {
    const auto self = weak.lock();
    if (self) self->slot(id)->notice_queue(kUnknownVersion);
  });
}

void ServedType::take_relayed() {
  relayed_->listen();
}

void ServedType::stop_relayed() {
  relayed_->stop();
}

Async<void> ServedType::see_publishers_off() {
  return relayed_->see_off_after_stop();
}

std::type_index ServedType::behaviour_type() const {
  const Behaviour& behaviour = served_->behaviour();
  return typeid(behaviour);
}

std::shared_ptr<Behaviour> ServedType::behaviour() {
  return {served_, &served_->behaviour()};
}

Status ServedType::submit(const std::shared_ptr<const Target>& target, Operation&& operation,
                          const Executor& executor) {
  return slot(target)->submit(std::move(operation), executor);
}

std::shared_ptr<Slot> ServedType::slot(const std::shared_ptr<const Target>& target) {
  std::lock_guard lock(mutex_);
  auto& place = slots_[target->id.id];
  if (!place) {
    place = std::make_shared<Slot>(shared_from_this(), served_, target);
    place->cache_place.listed = true;
  }
  return place;
}

std::shared_ptr<Slot> ServedType::slot(const std::string& id) {
  {
    std::lock_guard lock(mutex_);
    const auto found = slots_.find(id);
    if (found != slots_.end()) return found->second;
  }
  return slot(std::make_shared<const Target>(served_->core().tenant, EntityId{type(), id}));
}

void ServedType::rest(Slot& slot, std::size_t bytes) {
  std::vector<std::shared_ptr<Slot>> dropped;  // destroyed without the lock
  std::lock_guard lock(mutex_);
  auto& place = slot.cache_place;
  if (!place.listed) return;  // dropped meanwhile
  if (place.resting) {
    resting_.splice(resting_.end(), resting_, place.position);
  } else {
    place.position = resting_.insert(resting_.end(), &slot);
    place.resting = true;
  }
  bytes_ += bytes - place.bytes;
  place.bytes = bytes;
  const auto& options = served_->core().options;
  auto candidate = resting_.begin();
  while (candidate != resting_.end() &&
         (resting_.size() > options.cache_entities || bytes_ > options.cache_bytes)) {
    Slot* oldest = *candidate;
    // One that works is kept; it comes back here when it rests.
    if (!oldest->is_idle()) {
      ++candidate;
      continue;
    }
    candidate = resting_.erase(candidate);
    bytes_ -= oldest->cache_place.bytes;
    oldest->cache_place = {};
    const auto entry = slots_.find(oldest->target().id.id);
    dropped.push_back(std::move(entry->second));
    slots_.erase(entry);
  }
}

// Its own turn is one of those at work.
bool ServedType::gather(Slot::Running& running, const Executor& executor) {
  const bool others = at_work.load(std::memory_order_relaxed) > 1;
  if (!others || !local_groups_->suits()) return false;
  local_groups_->add(std::move(running), executor);
  return true;
}

void ServedType::leave_over(std::uint32_t shard) {
  std::optional<OneShot<std::monostate>> news;
  {
    std::lock_guard lock(mutex_);
    left_over_[shard].is_any = true;
    news.swap(left_over_[shard].news);
  }
  if (news) news->set({});
}

bool ServedType::take_left_over(std::uint32_t shard, const OneShot<std::monostate>& news) {
  std::lock_guard lock(mutex_);
  auto& left_over = left_over_[shard];
  if (std::exchange(left_over.is_any, false)) return true;
  left_over.news = news;
  return false;
}

void ServedType::expect_end() {
  std::vector<std::shared_ptr<Slot>> slots;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [id, slot] : slots_) slots.push_back(slot);
  }
  for (const auto& slot : slots) slot->expect_end();
}

void ServedType::clear() {
  groups_->clear();
  std::unordered_map<std::string, std::shared_ptr<Slot>> dropped;
  std::lock_guard lock(mutex_);
  dropped.swap(slots_);
  for (auto& [id, slot] : dropped) slot->cache_place = {};
  resting_.clear();
  bytes_ = 0;
}

std::size_t ServedType::cached_entities() const {
  std::lock_guard lock(mutex_);
  return resting_.size();
}

std::size_t ServedType::cached_bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace semper::internal
