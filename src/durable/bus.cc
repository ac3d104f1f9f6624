#include "semper/durable/bus.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <string>

#include "semper/base/internal/thrown.h"
#include "semper/base/log.h"

namespace semper::internal {

void BusCore::post(Value value) {
  Value replaced;  // destroyed without the lock
  std::lock_guard lock(mutex_);
  replaced = std::exchange(last_, value);
  if (pending_.size() >= kMaxPending && !pending_.back().only) {
    pending_.back().value = std::move(value);
    ++skipped_;
    return;
  }
  pending_.push_back({std::move(value), ++events_, nullptr});
}

void BusCore::deliver() {
  std::unique_lock lock(mutex_);
  if (delivering_) return;  // whoever delivers finds what was posted: it looks with the lock held
  delivering_ = true;
  deliverer_ = std::this_thread::get_id();
  while (!pending_.empty()) {
    Event event = std::move(pending_.front());
    pending_.pop_front();
    deliver_event(std::move(event), lock);
  }
  delivering_ = false;
}

void BusCore::deliver_event(Event event, std::unique_lock<std::mutex>& lock) {
  auto targets = event.only ? std::vector{event.only} : entries_;
  for (const auto& entry : targets) {
    if (!entry->active) continue;
    if (!event.only && entry->first_event > event.number) continue;
    running_ = entry.get();
    lock.unlock();
    try {
      entry->callback(event.value.get());
    } catch (const std::exception& thrown) {
      log_warning("bus", std::string("a subscriber threw: ") + internal::text_of(thrown));
    } catch (...) {
      log_warning("bus", "a subscriber threw something that is no std::exception");
    }
    lock.lock();
    running_ = nullptr;
    callback_returned_.notify_all();
  }
  // A callback that was unsubscribed meanwhile dies here, and it may own what uses this bus.
  lock.unlock();
  targets.clear();
  event = {};
  lock.lock();
}

std::shared_ptr<BusCore::Entry> BusCore::subscribe(Callback callback) {
  auto entry = std::make_shared<Entry>();
  entry->callback = std::move(callback);
  {
    std::lock_guard lock(mutex_);
    entry->first_event = events_ + 1;
    entries_.push_back(entry);
    if (last_) pending_.push_back({last_, events_, entry});
  }
  deliver();
  return entry;
}

void BusCore::unsubscribe(const std::shared_ptr<Entry>& entry) {
  std::deque<Event> dropped;  // destroyed without the lock
  std::unique_lock lock(mutex_);
  entry->active = false;
  std::erase(entries_, entry);
  const auto its_own = std::stable_partition(
      pending_.begin(), pending_.end(), [&](const Event& event) { return event.only != entry; });
  std::move(its_own, pending_.end(), std::back_inserter(dropped));
  pending_.erase(its_own, pending_.end());
  if (deliverer_ == std::this_thread::get_id()) return;
  callback_returned_.wait(lock, [&] { return running_ != entry.get(); });
}

BusCore::Value BusCore::last() const {
  std::lock_guard lock(mutex_);
  return last_;
}

std::size_t BusCore::subscribers() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

std::uint64_t BusCore::skipped() const {
  std::lock_guard lock(mutex_);
  return skipped_;
}

}  // namespace semper::internal
