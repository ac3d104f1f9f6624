// What list_timers.h says of timers, and cancelling one from outside.
#include "server/format/timers.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "semper/env/cancellation.h"
#include "semper/server/list_timers.h"
#include "server/admin/snapshot_reads.h"
#include "server/format/cancelled_casts.h"
#include "server/format/enqueue.h"
#include "server/format/orders.h"
#include "server/format/timer_book.h"

namespace semper {
namespace {

using internal::DueEntry;
using internal::EntityKeys;
using internal::TimerRecord;
using namespace internal::admin;

TimerView view_of(EntityId entity, std::string name, TimerRecord timer) {
  TimerView view;
  view.entity = std::move(entity);
  view.name = std::move(name);
  auto& spec = timer.spec;
  view.kind = static_cast<TimerView::Kind>(spec.kind);
  view.message = std::move(spec.message);
  if (timer.is_indexed()) view.due = internal::timer_time(timer.next_ms);
  view.ticks = timer.ticks;
  view.is_paused = timer.is_paused;
  if (view.kind == TimerView::Kind::cron) {
    auto& cron = view.cron.emplace();
    cron.schedule = std::move(spec.schedule);
    cron.zone = std::move(spec.zone);
    cron.missed = spec.missed;
    if (spec.until_ms) cron.until = internal::timer_time(*spec.until_ms);
    cron.max_count = spec.max_count;
    cron.jitter = std::chrono::milliseconds(spec.jitter_ms);
  }
  if (view.kind != TimerView::Kind::every) return view;
  auto& every = view.every.emplace();
  every.period = std::chrono::milliseconds(spec.span_ms);
  if (spec.first_ms) every.first = internal::timer_time(*spec.first_ms);
  every.pace = spec.pace;
  every.missed = spec.missed;
  if (spec.until_ms) every.until = internal::timer_time(*spec.until_ms);
  every.max_count = spec.max_count;
  every.jitter = std::chrono::milliseconds(spec.jitter_ms);
  return view;
}

// Of an order to kill: the timers that were set before it are gone, whatever still lies about.
Async<std::optional<Versionstamp>> killed_at(Transaction& transaction, const EntityKeys& keys,
                                             ReadMode mode) {
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.order(), mode));
  if (!raw) co_return std::nullopt;
  auto order = internal::Order::decode(*raw);
  if (!order) co_return fail(at_key(order.error(), keys.order()));
  if (order->kind != internal::Order::Kind::kill) co_return std::nullopt;
  co_return order->stamp;
}

bool is_alive(const TimerRecord& timer, const std::optional<Versionstamp>& killed) {
  return !killed || timer.stamp > *killed;
}

Async<std::vector<TimerView>> read_timers(Transaction& transaction, const EntityKeys& keys,
                                          const Tenant& tenant, const EntityId& id,
                                          const TimerListOptions& options) {
  SEMPER_CO_TRY(const auto killed, co_await killed_at(transaction, keys, ReadMode::snapshot));
  std::vector<TimerView> views;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    auto timer = TimerRecord::decode(row.value);
    if (!timer) {
      pass_over(timer.error(), row.key);
      return true;
    }
    SEMPER_TRY(auto name, internal::name_of_timer_key(tenant.prefix(), row.key));
    if (is_alive(*timer, killed)) {
      views.push_back(view_of(id, std::move(name), std::move(*timer)));
    }
    return views.size() < options.limit;
  };
  KeyRange range = keys.timers();
  if (!options.after.empty()) range.begin = key_after(keys.timer(options.after));
  if (options.limit > 0) {
    SEMPER_CO_TRY_STATUS(
        co_await for_each_row(transaction, range, std::min(options.limit, kRowsPerPage), add));
  }
  co_return views;
}

// The first entries of each shard, merged.
Async<std::vector<DueEntry>> read_due(Transaction& transaction, const Tenant& tenant,
                                      const std::string& type, const DueListOptions& options) {
  const auto& prefix = tenant.prefix();
  std::vector<DueEntry> entries;
  for (std::uint32_t shard = 0; shard < internal::kIndexShards; ++shard) {
    KeyRange range = internal::due_range(prefix, type, shard);
    if (options.until) {
      // Due in whole milliseconds, the last of which may be later.
      const auto until = std::chrono::floor<std::chrono::milliseconds>(*options.until);
      range = internal::due_range_until(
          prefix, type, shard, std::max<std::int64_t>(until.time_since_epoch().count(), -1));
    }
    if (options.after) {
      const DueEntry last{internal::to_timer_ms(options.after->due), options.after->id,
                          options.after->name};
      range.begin = std::max(range.begin, key_after(internal::due_key(prefix, type, shard, last)));
    }
    std::size_t taken = 0;
    const auto add = [&](const KeyValue& row) -> Result<bool> {
      auto entry = internal::entry_of_due_key(prefix, row.key);
      if (!entry) return fail(at_key(entry.error(), row.key));
      entries.push_back(std::move(*entry));
      return ++taken < options.limit;
    };
    if (range.empty()) continue;
    SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, range, options.limit, add));
  }
  std::sort(entries.begin(), entries.end(), [](const DueEntry& a, const DueEntry& b) {
    return std::tie(a.due_ms, a.id, a.timer) < std::tie(b.due_ms, b.id, b.timer);
  });
  co_return entries;
}

Async<std::vector<TimerView>> read_due_timers(Transaction& transaction, const Tenant& tenant,
                                              const std::string& type,
                                              const DueListOptions& options) {
  std::vector<TimerView> views;
  if (options.limit == 0) co_return views;
  SEMPER_CO_TRY(auto entries, co_await read_due(transaction, tenant, type, options));
  for (auto& entry : entries) {
    if (views.size() == options.limit) break;
    const EntityId id{type, entry.id};
    const EntityKeys keys(tenant.prefix(), id);
    const Bytes key = keys.timer(entry.timer);
    SEMPER_CO_TRY(const auto raw, co_await transaction.get(key, ReadMode::snapshot));
    if (!raw) continue;
    auto timer = TimerRecord::decode(*raw);
    if (!timer) {
      pass_over(timer.error(), key);
      continue;
    }
    if (!timer->is_indexed() || timer->next_ms != entry.due_ms) continue;
    SEMPER_CO_TRY(const auto killed, co_await killed_at(transaction, keys, ReadMode::snapshot));
    if (is_alive(*timer, killed)) {
      views.push_back(view_of(id, std::move(entry.timer), std::move(*timer)));
    }
  }
  co_return views;
}

Error no_timer(const EntityId& id, const std::string& name) {
  return Error(ErrorKind::not_found,
               id.to_string() + " has no timer \"" + to_printable(name, 64) + "\"");
}

Async<void> take_away(Transaction& transaction, const Tenant& tenant, const EntityKeys& keys,
                      const EntityId& id, const std::string& name) {
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.timer(name)));
  if (!raw) co_return fail(no_timer(id, name));
  SEMPER_CO_TRY(const auto killed, co_await killed_at(transaction, keys, ReadMode::serializable));
  const auto timer = TimerRecord::decode(*raw);
  if (timer && !is_alive(*timer, killed)) co_return fail(no_timer(id, name));
  // An entry that stays of one that cannot be read finds no row when it is due, and goes.
  if (timer) {
    internal::clear_timer(transaction, keys, name, *timer);
    if (timer->spec.key) {
      const internal::KeyBook::Place place{transaction, transaction, tenant.prefix()};
      SEMPER_CO_TRY_STATUS(co_await internal::forget_cancelled(timer->spec, place, id));
    }
  } else {
    transaction.clear(keys.timer(name));
  }
  SEMPER_CO_TRY(const auto count, co_await transaction.get(keys.timer_count()));
  if (internal::counter_value(count) <= 1) {
    transaction.clear(keys.timer_count());
  } else {
    transaction.add(keys.timer_count(), -1);
  }
  co_return Status{};
}

// Of a timer that is there and alive: changed, and written again where that has done something.
template <class Change>
Async<void> change_timer(Transaction& transaction, const EntityKeys& keys, const EntityId& id,
                         const std::string& name, Change change) {
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.timer(name)));
  if (!raw) co_return fail(no_timer(id, name));
  SEMPER_CO_TRY(const auto killed, co_await killed_at(transaction, keys, ReadMode::serializable));
  auto timer = TimerRecord::decode(*raw);
  if (!timer) co_return fail(at_key(timer.error(), keys.timer(name)));
  if (!is_alive(*timer, killed)) co_return fail(no_timer(id, name));
  const TimerRecord before = *timer;
  SEMPER_CO_TRY(const bool has_changed, change(*timer));
  if (!has_changed) co_return Status{};
  internal::clear_timer(transaction, keys, name, before);
  internal::write_timer(transaction, keys, name, *timer);
  co_return Status{};
}

template <class Change>
Async<void> in_transaction(Tenant tenant, EntityId id, std::string name, Change change) {
  SEMPER_CO_TRY_STATUS(id.validate());
  SEMPER_CO_TRY_STATUS(internal::check_timer_name(name));
  if (!tenant.store()) co_return fail(tenant.store().error());
  const EntityKeys keys(tenant.prefix(), id);
  const std::int64_t now_ms = internal::to_timer_ms(tenant.store()->env().clock->wall_time());
  co_return co_await tenant.store()->transact([&](Transaction& transaction) {
    return change_timer(transaction, keys, id, name, [&](TimerRecord& timer) {
      return change(transaction, keys, timer, now_ms);
    });
  });
}

Async<void> cancel(Tenant tenant, EntityId id, std::string name) {
  SEMPER_CO_TRY_STATUS(id.validate());
  SEMPER_CO_TRY_STATUS(internal::check_timer_name(name));
  if (!tenant.store()) co_return fail(tenant.store().error());
  const EntityKeys keys(tenant.prefix(), id);
  co_return co_await tenant.store()->transact(
      [&](Transaction& transaction) { return take_away(transaction, tenant, keys, id, name); });
}

}  // namespace

Async<std::vector<TimerView>> list_timers(Tenant tenant, EntityId id, TimerListOptions options) {
  if (!is_utf8(options.after)) {
    co_return fail(ErrorKind::invalid_argument,
                   "timers of " + id.to_string() + ": the name to begin after is not UTF-8");
  }
  co_return co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
    return read_timers(transaction, keys, tenant, id, options);
  });
}

Async<std::vector<TimerView>> list_due(Tenant tenant, std::string type, DueListOptions options) {
  const EntityId any{type, "any"};
  SEMPER_CO_TRY_STATUS(any.validate());
  co_return co_await in_snapshot(tenant, [&](Transaction& transaction) {
    return read_due_timers(transaction, tenant, type, options);
  });
}

Async<std::uint64_t> count_timers(Tenant tenant, EntityId id) {
  return count_in_snapshot(std::move(tenant), std::move(id), &EntityKeys::timer_count);
}

Async<void> cancel_timer(Tenant tenant, EntityId id, std::string name) {
  return run_through(cancel(std::move(tenant), std::move(id), std::move(name)));
}

Async<void> pause_timer(Tenant tenant, EntityId id, std::string name) {
  const auto pause = [](Transaction&, const EntityKeys&, TimerRecord& timer,
                        std::int64_t) -> Result<bool> {
    return !std::exchange(timer.is_paused, true);
  };
  return run_through(in_transaction(std::move(tenant), std::move(id), std::move(name), pause));
}

Async<void> resume_timer(Tenant tenant, EntityId id, std::string name) {
  const auto go_on = [](Transaction&, const EntityKeys&, TimerRecord& timer,
                        std::int64_t now_ms) -> Result<bool> {
    if (!timer.is_paused) return false;
    internal::resume(timer, now_ms);
    return true;
  };
  return run_through(in_transaction(std::move(tenant), std::move(id), std::move(name), go_on));
}

Async<void> trigger_timer(Tenant tenant, EntityId id, std::string name) {
  const auto send = [name](Transaction& transaction, const EntityKeys& keys, TimerRecord& timer,
                           std::int64_t now_ms) -> Result<bool> {
    const auto tick = internal::trigger_timer(timer, name, now_ms);
    if (!tick && timer.is_paused) {
      return fail(ErrorKind::retry, "timer " + to_printable(name, 64) +
                                        " is paused, and an earlier tick of it is still in the "
                                        "queue; try again when that has been dropped");
    }
    if (!tick) return false;
    internal::Enqueuer enqueuer(transaction);
    enqueuer.to(keys);
    enqueuer.add(Event::cast, timer.spec.message, {}, &*tick, timer.spec.key.get());
    enqueuer.finish();
    return true;
  };
  return run_through(in_transaction(std::move(tenant), std::move(id), std::move(name), send));
}

}  // namespace semper
