#include "server/serve/due.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/store/too_old.h"
#include "semper/store/tuple_text.h"
#include "server/format/enqueue.h"
#include "server/format/half_full.h"
#include "server/format/orders.h"
#include "server/format/timer_book.h"
#include "server/serve/due_ticks.h"
#include "server/serve/key_reaper.h"
#include "server/serve/waiting.h"

namespace semper::internal {
namespace {

std::int64_t calendar_ms(const HostCore& core) {
  const auto now = core.clock().wall_time().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// One timer of a firing's transaction.
class DueTimer {
 public:
  DueTimer(Transaction& transaction, const Tenant& tenant, const EntityId& entity,
           const DueEntry& entry)
      : transaction_(transaction), keys_(tenant.prefix(), entity), entry_(entry) {}

  // Its key in the due index.
  Bytes entry_key() const { return keys_.due(entry_.due_ms, entry_.timer); }

  // Returns whether it put a tick into the queue. Errors: corrupt for a row that cannot be read;
  // unsupported, with nothing done, for one that is beyond this host.
  Async<bool> fire(std::int64_t now_ms, std::uint16_t segment) {
    SEMPER_CO_TRY(const auto raw, co_await transaction_.get(keys_.timer(entry_.timer)));
    SEMPER_CO_TRY(const auto order, co_await transaction_.get(keys_.order()));
    Result<TimerRecord> decoded = TimerRecord();
    if (raw) decoded = TimerRecord::decode(*raw);
    Result<std::optional<CronTimes>> cron = std::nullopt;
    if (decoded) cron = cron_times_of(decoded->spec);
    if (!decoded && decoded.error().kind() != ErrorKind::corrupt) co_return fail(decoded.error());
    if (!cron) co_return fail(ErrorKind::unsupported, cron.error().message());
    transaction_.clear(entry_key());
    if (!raw) co_return false;
    if (!decoded) co_return fail(decoded.error());
    TimerRecord& timer = *decoded;
    if (!timer.is_indexed() || timer.next_ms != entry_.due_ms) co_return false;
    if (order) {
      SEMPER_CO_TRY(const auto standing, Order::decode(*order));
      // It was killed with its entity: whoever removes that takes the row.
      const bool is_dead = standing.kind == Order::Kind::kill && timer.stamp < standing.stamp;
      if (is_dead) co_return false;
    }
    const Firing firing = fire_timer(timer, entry_.timer, now_ms, *cron ? &**cron : nullptr);
    if (firing.what == Fired::over) {
      transaction_.clear(keys_.timer(entry_.timer));
      transaction_.add(keys_.timer_count(), -1);
      co_return false;
    }
    write_timer(transaction_, keys_, entry_.timer, timer);
    if (firing.what == Fired::later) co_return false;
    if (SEMPER_MUTANT("server_timer_tick_not_sent")) co_return true;
    Enqueuer enqueuer(transaction_, segment);
    enqueuer.to(keys_);
    enqueuer.add(Event::cast, timer.spec.message, {}, &firing.tick, timer.spec.key.get());
    enqueuer.finish();
    co_return true;
  }

 private:
  Transaction& transaction_;
  const EntityKeys keys_;
  const DueEntry& entry_;
};

}  // namespace

Task<void> DueScanner::run(std::shared_ptr<ServedType> type,
                           std::shared_ptr<Membership> membership) {
  auto& core = type->served().core();
  auto inside = core.gate.enter();
  if (!inside) co_return;
  const Bytes mark = timers_mark_key(core.tenant.prefix(), type->type());
  while (!core.stopping.stop_requested()) {
    std::unique_ptr<Watch> watch;
    const auto has = co_await has_timers(core, mark, watch);
    if (has && *has) break;
    if (!has && has.error().kind() != ErrorKind::closed && !is_too_old(has.error())) {
      core.trouble.failed(core.clock().now(), "looking for timers of type " + type->type(),
                          has.error());
    }
    OneShot<std::monostate> nothing_else;
    co_await wait_for_news(core, std::move(watch), nothing_else,
                           has ? kTimersLookAgain : kCalendarLook);
  }
  asio::co_spawn(core.executor, KeyReaper::run(type, membership), asio::detached);
  for (std::uint32_t shard = 0; shard < kIndexShards; ++shard) {
    asio::co_spawn(core.executor, run_shard(type, membership, shard), asio::detached);
  }
}

Async<bool> DueScanner::has_timers(HostCore& core, BytesView mark, std::unique_ptr<Watch>& watch) {
  Transaction transaction = core.store().begin();
  SEMPER_CO_TRY(watch, co_await transaction.watch(mark));
  SEMPER_CO_TRY(const auto row, co_await transaction.get(mark, ReadMode::snapshot));
  co_return row.has_value();
}

Task<void> DueScanner::run_shard(std::shared_ptr<ServedType> type,
                                 std::shared_ptr<Membership> membership, std::uint32_t shard) {
  auto& core = type->served().core();
  auto inside = core.gate.enter();
  if (!inside) co_return;
  Suspected suspected;
  while (!core.stopping.stop_requested()) {
    auto news = membership->next_change();
    suspected.look(core);
    Round round{shard, nullptr, std::nullopt, {}, false, {}};
    Duration at_most = kTimersLookAgain;
    if (membership->prefers(type->type(), shard)) {
      const Status fired = co_await fire_due(*type, *membership, round, suspected);
      if (!fired && is_too_old(fired.error())) continue;  // this process was stopped
      if (!fired && fired.error().kind() != ErrorKind::closed) {
        core.trouble.failed(core.clock().now(), "firing timers of type " + type->type(),
                            fired.error());
      }
      if (!fired) at_most = kCalendarLook;
    }
    if (round.is_dense) co_await wait_for_news(core, nullptr, {}, kDenseTimersPause);
    co_await wait(core, std::move(round.watch), news.event(), round.next_ms, at_most);
  }
}

void DueScanner::Suspected::look(const HostCore& core) {
  const std::uint64_t renewed = core.suspicion.renewals();
  if (std::exchange(renewals, renewed) != renewed) until_ms = calendar_ms(core);
}

Async<void> DueScanner::fire_due(ServedType& type, const Membership& membership, Round& round,
                                 Suspected& suspected) {
  auto& core = type.served().core();
  const Bytes& prefix = core.tenant.prefix();
  while (!core.stopping.stop_requested()) {
    // As long as more is due than this host can do, others may come, to whom the shard goes, or go.
    suspected.look(core);
    if (!membership.prefers(type.type(), round.shard) &&
        !SEMPER_MUTANT("server_timer_shard_kept_while_it_is_due")) {
      co_return Status{};
    }
    Entries due;
    {  // a transaction that waited for callbacks would keep the store's log meanwhile
      Transaction transaction = core.store().begin();
      // Once: what comes after its snapshot is news, seen by now or not.
      if (!round.watch) {
        SEMPER_CO_TRY(round.watch,
                      co_await transaction.watch(due_wake_key(prefix, type.type(), round.shard)));
      }
      const RangeOptions first{.limit = 1, .mode = ReadMode::snapshot};
      KeyRange all = due_range(prefix, type.type(), round.shard);
      if (!round.from.empty()) all.begin = round.from;
      SEMPER_CO_TRY(const auto page, co_await transaction.get_range(all, first));
      round.next_ms.reset();
      if (page.rows.empty()) co_return Status{};
      const Bytes& key = page.rows.front().key;
      const auto entry = entry_of_due_key(prefix, key);
      if (!entry && SEMPER_MUTANT("server_foreign_row_stops_its_shard")) {
        co_return fail(entry.error());
      }
      if (!entry) {  // somebody else's, or damaged: it keeps nobody from those behind it
        core.trouble.failed(core.clock().now(), "reading the due times of type " + type.type(),
                            entry.error());
        round.from = key_after(key);
        continue;
      }
      if (entry->due_ms > calendar_ms(core)) {
        round.next_ms = entry->due_ms;
        round.is_dense = !round.last_fired.empty() && round.last_fired != entry->id;
        co_return Status{};
      }
      SEMPER_CO_TRY(due, co_await read_due(type, transaction, round));
    }
    if (due.empty()) continue;  // the calendar was set back
    round.last_fired = due.back().id;
    SEMPER_CO_TRY(const auto left, co_await deliver(type, suspected, std::move(due)));
    SEMPER_CO_TRY_STATUS(co_await send(type, round, left));
  }
  co_return Status{};
}

Async<DueScanner::Entries> DueScanner::read_due(ServedType& type, Transaction& transaction,
                                                const Round& round) {
  auto& core = type.served().core();
  const Bytes& prefix = core.tenant.prefix();
  KeyRange due = due_range_until(prefix, type.type(), round.shard, calendar_ms(core));
  if (!round.from.empty()) due.begin = std::min(round.from, due.end);
  const RangeOptions first_ones{.limit = kTimersFiredPerTransaction, .mode = ReadMode::snapshot};
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(due, first_ones));
  Entries entries;
  entries.reserve(page.rows.size());
  for (const auto& row : page.rows) {
    auto entry = entry_of_due_key(prefix, row.key);
    if (entry) entries.push_back(std::move(*entry));
  }
  co_return entries;
}

Async<DueScanner::Entries> DueScanner::deliver(ServedType& type, const Suspected& suspected,
                                               Entries due) {
  auto& groups = type.groups();
  const bool is_suspected = due.front().due_ms <= suspected.until_ms &&
                            !SEMPER_MUTANT("server_timer_suspected_tick_delivered");
  const std::size_t room = is_suspected ? 0 : groups.room_for_ticks();
  if (room == 0) co_return due;
  std::map<std::string, std::shared_ptr<DueTicks>> by_entity;
  for (auto& entry : due) {
    auto& ticks = by_entity[entry.id];
    if (!ticks) ticks = std::make_shared<DueTicks>();
    ticks->entries.push_back(std::move(entry));
  }
  OneShot<std::monostate> handled;
  {
    const auto all = std::make_shared<AllHandled>(handled);
    std::size_t handed = 0;
    for (const auto& [id, ticks] : by_entity) {
      if (++handed > room) break;
      groups.add(type.slot(id), {ticks, all});
    }
  }
  SEMPER_CO_TRY_STATUS(co_await handled.wait());
  Entries left;
  for (auto& [id, ticks] : by_entity) {
    auto& entries = ticks->entries;
    const auto rest = entries.begin() + static_cast<std::ptrdiff_t>(ticks->delivered);
    std::move(rest, entries.end(), std::back_inserter(left));
  }
  // Those of one entity are in order already.
  std::stable_sort(left.begin(), left.end(),
                   [](const DueEntry& a, const DueEntry& b) { return a.due_ms < b.due_ms; });
  co_return left;
}

Async<void> DueScanner::send(ServedType& type, Round& round, const Entries& due) {
  auto& core = type.served().core();
  std::size_t looked = 0;
  while (looked < due.size() && !core.stopping.stop_requested()) {
    const auto fire = [&](Transaction& firing) { return send_some(type, firing, due, looked); };
    SEMPER_CO_TRY(const Some some, co_await core.store().transact(fire));
    looked += some.looked;
    type.served().counters().ticks.add(some.ticks);
    for (const auto& what : some.unreadable) log_error("server", what);
    if (!some.beyond) continue;
    round.from = std::max(round.from, some.from);
    core.trouble.failed(core.clock().now(), "firing a timer that is beyond this host",
                        *some.beyond);
  }
  co_return Status{};
}

Async<DueScanner::Some> DueScanner::send_some(ServedType& type, Transaction& transaction,
                                              const Entries& due, std::size_t first) {
  auto& core = type.served().core();
  const std::int64_t now_ms = calendar_ms(core);
  Some some;
  for (std::size_t at = first; at < due.size() && !is_half_full(transaction); ++at) {
    const DueEntry& entry = due[at];
    ++some.looked;
    if (entry.due_ms > now_ms) continue;  // the calendar was set back
    const EntityId entity{type.type(), entry.id};
    DueTimer timer(transaction, core.tenant, entity, entry);
    const auto fired = co_await timer.fire(now_ms, static_cast<std::uint16_t>(some.ticks));
    if (fired) {
      some.ticks += *fired ? 1 : 0;
    } else if (fired.error().kind() == ErrorKind::corrupt) {
      some.unreadable.push_back(entity.to_string() + ": timer " + to_printable(entry.timer, 64) +
                                " is left alone: " + fired.error().message() +
                                "; cancel it (semper timer cancel), and set it again");
    } else if (fired.error().kind() == ErrorKind::unsupported &&
               !SEMPER_MUTANT("server_timer_beyond_a_host_stops_its_shard")) {
      some.from = key_after(timer.entry_key());
      some.beyond =
          fired.error().in(entity.to_string() + ": timer " + to_printable(entry.timer, 64));
    } else {
      co_return fail(fired.error().in(entity.to_string()));
    }
  }
  co_return some;
}

Task<void> DueScanner::wait(HostCore& core, std::unique_ptr<Watch> watch,
                            OneShot<std::monostate> news, std::optional<std::int64_t> due_ms,
                            Duration at_most) {
  const auto left = [&]() -> Duration {
    if (!due_ms) return at_most;
    return timer_time(*due_ms) - core.clock().wall_time();
  };
  const Duration whole = std::clamp(left(), Duration(), at_most);
  const MonotonicTime end = core.clock().after(whole);
  const StopCallback on_stop(core.stopping.get_token(), [news]() mutable { news.set({}); });
  std::optional<CancelOnExit> ends_with_this;
  if (watch) {
    ends_with_this.emplace(
        watch_beside(core.executor, std::move(watch), end, [news]() mutable { news.set({}); }));
  }
  while (core.clock().now() < end && left() > Duration()) {
    const MonotonicTime look = std::min(end, core.clock().after(kCalendarLook));
    const auto told = co_await news.wait_until(core.clock(), look);
    if (told || told.error().kind() != ErrorKind::timeout) co_return;
  }
}

}  // namespace semper::internal
