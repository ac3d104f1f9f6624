#include "membership.h"

#include <utility>

#include "keys.h"
#include "semper/base/log.h"
#include "sessions.h"

namespace semper::internal {
namespace {

// Sessions looked at in one round; the next round goes on behind them.
constexpr std::size_t kSessionsPerRound = 1000;

std::uint64_t mix(std::uint64_t value) {
  value = (value ^ (value >> 33)) * 0xff51afd7ed558ccdULL;
  value = (value ^ (value >> 33)) * 0xc4ceb9fe1a85ec53ULL;
  return value ^ (value >> 33);
}

// A host's claim to a shard; the highest one has it.
std::uint64_t claim(BytesView host, std::string_view type, std::uint32_t shard) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const auto part : {host, type}) {
    for (const unsigned char byte : part) hash = (hash ^ byte) * 0x100000001b3ULL;
    hash = mix(hash);
  }
  return mix(hash ^ (shard * 0x9e3779b97f4a7c15ULL));
}

std::int64_t milliseconds(WallTime time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

Task<void> wait_for_news(HostCore& core, std::unique_ptr<Watch> watch, OneShot<std::monostate> also,
                         Duration at_most) {
  const MonotonicTime deadline = core.clock().after(at_most);
  const std::stop_callback on_stop(core.stopping.get_token(), [also]() mutable { also.set({}); });
  if (watch) {
    // The watch is left behind when something else comes first; it ends by its deadline.
    asio::co_spawn(
        core.executor,
        [](std::unique_ptr<Watch> watched, OneShot<std::monostate> news,
           MonotonicTime until) -> Task<void> {
          static_cast<void>(co_await watched->changed(until));
          news.set({});
        }(std::move(watch), also, deadline),
        asio::detached);
  }
  static_cast<void>(co_await also.wait_until(core.clock(), deadline));
}

Async<void> Membership::join(std::set<std::string> types) {
  {
    std::lock_guard lock(mutex_);
    types_ = std::move(types);
  }
  const auto& prefix = core_->tenant.prefix();
  const Status joined =
      co_await core_->store().transact([&](Transaction& transaction) -> Async<void> {
        SEMPER_CO_TRY_STATUS(co_await renew(transaction));
        transaction.add(hosts_wake_key(prefix), 1);
        co_return Status{};
      });
  if (!joined) co_return joined;
  co_return co_await observe();
}

Async<void> Membership::renew(Transaction& transaction) {
  AliveRecord record{core_->name, ++renewals_, milliseconds(core_->clock().wall_time()), {}};
  {
    std::lock_guard lock(mutex_);
    record.types.assign(types_.begin(), types_.end());
  }
  transaction.set(host_key(core_->tenant.prefix(), core_->id), encode_alive(record));
  co_return Status{};
}

Async<void> Membership::observe() {
  co_return co_await core_->store().transact([&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY_STATUS(co_await observe_hosts(transaction));
    co_return co_await sweep_sessions(transaction);
  });
}

Async<void> Membership::observe_hosts(Transaction& transaction) {
  const auto& prefix = core_->tenant.prefix();
  const MonotonicTime now = core_->clock().now();
  const std::int64_t now_ms = milliseconds(core_->clock().wall_time());
  const Duration lease = core_->options.host_lease;
  const auto lease_ms = std::chrono::duration_cast<std::chrono::milliseconds>(lease).count();
  SEMPER_CO_TRY(const auto page,
                co_await transaction.get_range(host_range(prefix), {.mode = ReadMode::snapshot}));
  std::map<Bytes, Sighting> seen;
  std::lock_guard lock(mutex_);
  for (const auto& row : page.rows) {
    auto record = decode_alive(row.value);
    if (!record) continue;
    Sighting sighting{record->renewals, now, {record->types.begin(), record->types.end()}};
    const auto known = hosts_.find(row.key);
    const bool self = row.key == host_key(prefix, core_->id);
    if (known != hosts_.end() && known->second.renewals == record->renewals) {
      sighting.changed = known->second.changed;
    }
    const bool never_seen_alive =
        known == hosts_.end() && now_ms - record->renewed_ms > 2 * lease_ms;
    if (!self && (never_seen_alive || now - sighting.changed > lease)) {
      log_info("server", "host " + record->name + " is gone; its work is shared out");
      transaction.clear(row.key);
      continue;
    }
    seen.emplace(row.key, std::move(sighting));
  }
  const bool changed =
      seen.size() != hosts_.size() ||
      !std::equal(seen.begin(), seen.end(), hosts_.begin(), [](const auto& a, const auto& b) {
        return a.first == b.first && a.second.types == b.second.types;
      });
  // Whether it ended in order can not be told from here.
  for (const auto& [key, sighting] : hosts_) {
    if (!seen.contains(key)) core_->suspicion.renew();
  }
  hosts_ = std::move(seen);
  if (changed) {
    changes_.announce();
  }
  co_return Status{};
}

Async<void> Membership::sweep_sessions(Transaction& transaction) {
  const auto& prefix = core_->tenant.prefix();
  const MonotonicTime now = core_->clock().now();
  std::map<Bytes, Sighting> seen;
  KeyRange rest = session_range(prefix);
  for (std::size_t i = 0; i < kSessionsPerRound && !rest.empty(); ++i) {
    // One seek per session, whatever number of replies it has.
    SEMPER_CO_TRY(const auto page,
                  co_await transaction.get_range(rest, {.limit = 1, .mode = ReadMode::snapshot}));
    if (page.rows.empty()) break;
    SEMPER_CO_TRY(const Bytes session, session_of_key(prefix, page.rows.front().key));
    const KeyRange all = everything_of_session(prefix, session);
    rest.begin = all.end;
    // Replies without a session row count as a session that is never renewed.
    Sighting sighting{0, now, {}};
    if (page.rows.front().key == session_key(prefix, session)) {
      if (auto record = decode_alive(page.rows.front().value)) sighting.renewals = record->renewals;
    }
    const auto known = sessions_.find(session);
    if (known != sessions_.end() && known->second.renewals == sighting.renewals) {
      sighting.changed = known->second.changed;
    }
    if (now - sighting.changed > kSessionLease) {
      transaction.clear_range(all);
      continue;
    }
    seen.emplace(session, sighting);
  }
  sessions_ = std::move(seen);
  co_return Status{};
}

Task<void> Membership::run(std::shared_ptr<Membership> self) {
  auto& core = *self->core_;
  const Duration interval = core.options.host_lease / 3;
  MonotonicTime renew_at = core.clock().after(interval);
  while (!core.stopping.stop_requested()) {
    std::unique_ptr<Watch> watch;
    {
      Transaction transaction = core.store().begin();
      auto watching = co_await transaction.watch(hosts_wake_key(core.tenant.prefix()));
      if (watching) watch = std::move(*watching);
    }
    const auto now = core.clock().now();
    co_await wait_for_news(core, std::move(watch), {}, std::max(Duration(0), renew_at - now));
    if (core.stopping.stop_requested()) break;
    Status status;
    if (core.clock().now() >= renew_at) {
      renew_at = core.clock().after(interval);
      status = co_await core.store().transact([&](Transaction& transaction) -> Async<void> {
        co_return co_await self->renew(transaction);
      });
    }
    if (status) status = co_await self->observe();
    if (!status) {
      log_warning("server",
                  "the host's registration was not renewed: " + status.error().to_string());
    }
  }
  const Status left = co_await self->leave();
  if (!left) {
    log_warning("server",
                "the host's registration was not removed, others will notice by its age: " +
                    left.error().to_string());
  }
}

Async<void> Membership::leave() {
  const auto& prefix = core_->tenant.prefix();
  co_return co_await core_->store().transact([&](Transaction& transaction) -> Async<void> {
    transaction.clear(host_key(prefix, core_->id));
    transaction.add(hosts_wake_key(prefix), 1);
    co_return Status{};
  });
}

bool Membership::prefers(const std::string& type, std::uint32_t shard) const {
  const Bytes own = host_key(core_->tenant.prefix(), core_->id);
  std::lock_guard lock(mutex_);
  const std::uint64_t mine = claim(own, type, shard);
  for (const auto& [host, sighting] : hosts_) {
    if (host == own || !sighting.types.contains(type)) continue;
    const std::uint64_t theirs = claim(host, type, shard);
    if (theirs > mine || (theirs == mine && host > own)) return false;
  }
  return types_.contains(type);
}

}  // namespace semper::internal
