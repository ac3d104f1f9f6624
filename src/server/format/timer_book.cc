#include "server/format/timer_book.h"

#include <memory>
#include <utility>

#include "semper/base/internal/mutant.h"

namespace semper::internal {

void clear_timer(Transaction& transaction, const EntityKeys& keys, const std::string& name,
                 const TimerRecord& timer) {
  transaction.clear(keys.timer(name));
  if (timer.is_indexed()) transaction.clear(keys.due(timer.next_ms, name));
}

void write_timer(Transaction& transaction, const EntityKeys& keys, const std::string& name,
                 const TimerRecord& timer) {
  if (timer.stamp.is_complete()) {
    transaction.set(keys.timer(name), timer.encode());
  } else {
    transaction.set_versionstamped_value(keys.timer(name), timer.encode(), 0);
    transaction.set(keys.timers_mark(), {});
  }
  if (!timer.is_indexed()) return;
  if (SEMPER_MUTANT("server_timer_not_due_again") && timer.ticks > 0) return;
  transaction.set(keys.due(timer.next_ms, name), {});
  transaction.add(keys.due_wake(), 1);
}

Error too_many_timers() {
  return Error(ErrorKind::exhausted, Limit{"kTimersPerEntity", kTimersPerEntity},
               "the entity has its " + std::to_string(kTimersPerEntity) +
                   " timers; cancel some, or keep the times in the state behind one timer");
}

QueuedMessage without_timer(QueuedMessage message) {
  if (!message.tick) return message;
  TickRecord tick = *message.tick;
  tick.generation.clear();
  message.tick = std::make_shared<const TickRecord>(std::move(tick));
  return message;
}

Async<void> TimerBook::read(Place place, const std::string& name, Entry& entry) {
  const Bytes key = place.keys.timer(name);
  SEMPER_CO_TRY(const auto raw, co_await place.reader.get(key, ReadMode::snapshot));
  place.transaction.assume_unchanged(KeyRange::point(key), raw ? 1 : 0);
  if (raw) {
    auto timer = TimerRecord::decode(*raw);
    if (!timer) co_return fail(timer.error().in("timer " + to_printable(name, 64)));
    entry.stored = std::move(*timer);
    entry.now = entry.stored;
  }
  entry.is_known = true;
  co_return Status{};
}

Async<void> TimerBook::look(Place place, const std::string& name) {
  Entry& entry = entries_[name];
  if (entry.is_known) co_return Status{};
  co_return co_await read(place, name, entry);
}

std::optional<std::string_view> TimerBook::message_of(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end() || !found->second.now) return std::nullopt;
  return found->second.now->spec.message.name;
}

bool TimerBook::is_keyed(const std::string& name) const {
  const auto found = entries_.find(name);
  return found != entries_.end() && found->second.now && found->second.now->spec.key;
}

std::optional<std::int64_t> TimerBook::due_of(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end() || !found->second.now) return std::nullopt;
  return found->second.now->next_ms;
}

void TimerBook::set(Entry& entry, TimerRequest request, std::int64_t now_ms) {
  const auto& enough = request.unless_due_from_ms;
  if (enough && entry.now && entry.now->next_ms >= *enough) return;
  const bool is_same = entry.now && is_same_timer(entry.now->spec, *request.spec);
  if (is_same && !SEMPER_MUTANT("server_timer_set_again_moves_its_anchor")) return;
  cancel(entry);
  entry.now = begin_timer(std::move(request), now_ms);
  entry.has_changed = true;
}

void TimerBook::apply(Entry& entry, TimerRequest request, std::int64_t now_ms) {
  if (request.what == TimerRequest::What::set) return set(entry, std::move(request), now_ms);
  if (!entry.now) return;
  switch (request.what) {
    case TimerRequest::What::pause:
      if (entry.now->is_paused) return;
      entry.now->is_paused = true;
      break;
    case TimerRequest::What::resume:
      if (!entry.now->is_paused) return;
      resume(*entry.now, now_ms);
      break;
    default:
      if (SEMPER_MUTANT("server_timer_cancel_forgets_the_queued_tick") && entry.now->queued > 0) {
        return;
      }
      cancel(entry);
  }
  entry.has_changed = true;
}

void TimerBook::cancel(Entry& entry) {
  if (entry.now && entry.now->spec.key) cancelled_.push_back(std::move(entry.now->spec));
  entry.now.reset();
}

void TimerBook::note(std::vector<TimerRequest>& requests, std::int64_t now_ms) {
  for (auto& request : requests) {
    Entry& entry = entries_[request.name];
    if (entry.is_known) {
      apply(entry, std::move(request), now_ms);
    } else {
      entry.waiting.push_back(std::move(request));
    }
  }
  requests.clear();
}

// None: it is not of the timer that is there now.
TimerBook::Entry* TimerBook::entry_of(const TickRecord& tick) {
  Entry& entry = entries_[tick.timer];
  const bool is_its_own =
      entry.now && entry.now->generation() == tick.generation && entry.now->queued == tick.number;
  return is_its_own ? &entry : nullptr;
}

void TimerBook::go_on_after(Entry& entry, std::int64_t now_ms) {
  entry.before_tick = entry.now;
  if (!go_on(*entry.now, now_ms)) entry.now.reset();
  entry.has_changed = true;
}

std::optional<QueuedMessage> TimerBook::fire(const DueEntry& due, std::int64_t now_ms) {
  const auto found = entries_.find(due.timer);
  if (found == entries_.end() || due.due_ms > now_ms) return std::nullopt;
  Entry& entry = found->second;
  const bool forgets = SEMPER_MUTANT("server_timer_cancelled_tick_delivered") && entry.stored;
  if (!entry.now && !forgets) return std::nullopt;
  TimerRecord timer = forgets ? *entry.stored : *entry.now;
  // One that was set in this transaction has no entry yet.
  const bool is_due =
      timer.stamp.is_complete() && timer.is_indexed() && timer.next_ms == due.due_ms;
  if (!is_due) return std::nullopt;
  const auto cron = cron_times_of(timer.spec);
  if (!cron) return std::nullopt;
  Firing firing = fire_timer(timer, due.timer, now_ms, *cron ? &**cron : nullptr);
  if (firing.what != Fired::tick) return std::nullopt;
  QueuedMessage message;
  message.content = timer.spec.message;
  message.tick = std::make_shared<const TickRecord>(std::move(firing.tick));
  entry.now = std::move(timer);
  entry.has_changed = true;
  return message;
}

bool TimerBook::begin(const TickRecord& tick, std::int64_t now_ms) {
  if (tick.generation.empty()) return true;  // redriven
  Entry* entry = entry_of(tick);
  if (entry == nullptr) return SEMPER_MUTANT("server_timer_tick_of_another_generation_handled");
  const bool is_held_back = entry->now->is_paused && !is_triggered(tick);
  if (is_held_back && !SEMPER_MUTANT("server_timer_tick_of_a_paused_one_handled")) {
    take_back(*entry->now, tick);
    entry->has_changed = true;
    return false;
  }
  go_on_after(*entry, now_ms);
  return true;
}

void TimerBook::end(const TickRecord& tick, std::int64_t now_ms) {
  if (tick.generation.empty()) return;
  if (Entry* entry = entry_of(tick)) go_on_after(*entry, now_ms);
}

void TimerBook::keep(const TickRecord& tick) {
  if (tick.generation.empty()) return;
  Entry& entry = entries_[tick.timer];
  if (entry.before_tick) entry.now = std::move(entry.before_tick);
  entry.before_tick.reset();
}

Async<void> TimerBook::settle(Place place, std::int64_t now_ms) {
  for (auto& [name, entry] : entries_) {
    if (!entry.is_known) {
      SEMPER_CO_TRY_STATUS(co_await read(place, name, entry));
    }
    for (auto& request : entry.waiting) apply(entry, std::move(request), now_ms);
    entry.waiting.clear();
  }
  SEMPER_CO_TRY_STATUS(co_await count(place));
  for (const auto& [name, entry] : entries_) {
    if (entry.has_changed) write(place, name, entry);
  }
  co_return Status{};
}

void TimerBook::write(Place place, const std::string& name, const Entry& entry) {
  if (entry.stored) clear_timer(place.transaction, place.keys, name, *entry.stored);
  if (entry.now) write_timer(place.transaction, place.keys, name, *entry.now);
}

Async<void> TimerBook::count(Place place) const {
  std::int64_t more = 0;
  for (const auto& [name, entry] : entries_) {
    more += (entry.now ? 1 : 0) - (entry.stored ? 1 : 0);
  }
  if (more > 0) {
    SEMPER_CO_TRY(const auto raw,
                  co_await place.reader.get(place.keys.timer_count(), ReadMode::snapshot));
    // The host's own finds room in any case: no message fails for it.
    const std::size_t most = kTimersPerEntity + entries_.count(std::string(kExpiryTimer));
    if (counter_value(raw) + static_cast<std::uint64_t>(more) > most) {
      co_return fail(too_many_timers());
    }
  }
  if (more != 0) place.transaction.add(place.keys.timer_count(), more);
  co_return Status{};
}

}  // namespace semper::internal
