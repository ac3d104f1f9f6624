#include "server/serve/membership.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/store/failure.h"
#include "server/format/keys.h"
#include "server/format/version_times.h"
#include "server/serve/waiting.h"

namespace semper::internal {
namespace {

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

// As many as there are hosts.
Async<std::vector<KeyValue>> all_rows(Transaction& transaction, KeyRange rest) {
  std::vector<KeyValue> rows;
  RangeOptions options;
  options.mode = ReadMode::snapshot;
  for (bool more = true; more;) {
    SEMPER_CO_TRY(auto page, co_await transaction.get_range(rest, options));
    more = page.more && !page.rows.empty();
    if (more) rest.begin = key_after(page.rows.back().key);
    for (auto& row : page.rows) rows.push_back(std::move(row));
  }
  co_return rows;
}

}  // namespace

Membership::Membership(std::shared_ptr<HostCore> core) : core_(std::move(core)) {}

Async<void> Membership::join(Types types) {
  SEMPER_CO_TRY(const auto turn, co_await turns_.take());
  // Its row is gone, or goes now: nobody would take another one away.
  if (core_->stopping.stop_requested() && !SEMPER_MUTANT("server_start_outlives_stop")) {
    co_return fail(ErrorKind::closed, "the host is stopping");
  }
  {
    std::lock_guard lock(mutex_);
    types_ = std::move(types);
  }
  SEMPER_CO_TRY_STATUS(co_await renew());
  co_return co_await observe();
}

Async<void> Membership::renew() {
  const auto& prefix = core_->tenant.prefix();
  AliveRecord record{core_->name, ++renewals_, milliseconds(core_->clock().wall_time()), {}, 0};
  record.lease_ms = lease_in_row(core_->options.host_lease);
  {
    std::lock_guard lock(mutex_);
    for (const auto& [type, served] : types_) record.types.push_back(type);
  }
  const Bytes row = encode_alive(record);
  const Bytes speech = own_speech();
  const bool is_new_speech = speech != spoken_;
  const auto write = [&](Transaction& transaction) -> Async<void> {
    const Bytes own = host_key(prefix, core_->id);
    SEMPER_CO_TRY(const auto present, co_await transaction.get(own, ReadMode::snapshot));
    transaction.set(own, row);
    // New, changed, or taken for dead meanwhile: the others are to know at once.
    std::vector<std::string> announced;
    if (present) {
      if (auto known = decode_alive(*present)) announced = std::move(known->types);
    }
    SEMPER_CO_TRY(const Version version, co_await transaction.read_version());
    transaction.set(version_times_key(prefix, core_->id), saw(version));
    const bool is_news = !present || announced != record.types || is_new_speech;
    if (is_news) transaction.set(speech_key(prefix, core_->id), speech);
    if (is_news) transaction.add(hosts_wake_key(prefix), 1);
    co_return Status{};
  };
  SEMPER_CO_TRY_STATUS(co_await core_->store().transact(write));
  spoken_ = speech;
  co_return Status{};
}

// Whatever was committed at that version is there by now. Returns what this host knows of the ages
// of versions.
Bytes Membership::saw(Version version) const {
  const MonotonicTime now = core_->clock().now();
  std::lock_guard lock(core_->version_times_mutex);
  core_->version_times.saw(version, now);
  return core_->version_times.encode(now);
}

Bytes Membership::own_speech() const {
  std::vector<SpokenType> types;
  std::lock_guard lock(mutex_);
  for (const auto& [type, served] : types_) {
    types.push_back(spoken_of(served->behaviour(), served->left_alone().is_behind()));
  }
  return encode_speech(types);
}

Async<void> Membership::observe() {
  const Duration now = attention_.look(core_->clock().now(), step_maximum(until_next_look()));
  Sightings seen;
  const Status looked =
      co_await core_->store().transact([&](Transaction& transaction) -> Async<void> {
        SEMPER_CO_TRY(seen, co_await look_at_hosts(transaction, now));
        co_return Status{};
      });
  if (looked) learn(std::move(seen));
  co_return looked;
}

// The living ones. The rows of the others are removed, unless they are renewed at this moment.
Async<Membership::Sightings> Membership::look_at_hosts(Transaction& transaction,
                                                       Duration now) const {
  const auto& prefix = core_->tenant.prefix();
  const Bytes own = host_key(prefix, core_->id);
  // Of hosts that do not say theirs: those of 0.1.0.
  const Duration unsaid = std::max(core_->options.host_lease, HostOptions().host_lease);
  SEMPER_CO_TRY(const auto rows, co_await all_rows(transaction, host_range(prefix)));
  Sightings seen;
  for (const auto& row : rows) {
    auto record = decode_alive(row.value);
    if (!record) continue;
    Sighting sighting{record->renewals,
                      now,
                      SEMPER_MUTANT("server_host_judged_by_anothers_lease")
                          ? core_->options.host_lease
                          : lease_from_row(record->lease_ms).value_or(unsaid),
                      {record->types.begin(), record->types.end()},
                      {}};
    const auto known = hosts_.find(row.key);  // written in this turn only
    if (known != hosts_.end() && known->second.renewals == record->renewals) {
      sighting.changed = known->second.changed;
    }
    if (row.key != own && now - sighting.changed > sighting.lease) {
      log_info("server", "host " + record->name + " is gone; its work is shared out");
      SEMPER_CO_TRY_STATUS(co_await transaction.add_read_conflict_range(KeyRange::point(row.key)));
      transaction.clear(row.key);
      continue;
    }
    seen.emplace(row.key, std::move(sighting));
  }
  SEMPER_CO_TRY_STATUS(co_await look_at_speech(transaction, seen));
  SEMPER_CO_TRY_STATUS(co_await clear_version_times(transaction, seen));
  co_return seen;
}

// As look_at_speech() does with its rows.
Async<void> Membership::clear_version_times(Transaction& transaction, const Sightings& seen) const {
  const auto& prefix = core_->tenant.prefix();
  SEMPER_CO_TRY(const auto rows, co_await all_rows(transaction, version_times_range(prefix)));
  for (const auto& row : rows) {
    const auto host = host_key_of_version_times(prefix, row.key);
    if (!host || seen.contains(*host)) continue;
    SEMPER_CO_TRY(const auto present, co_await transaction.get(*host, ReadMode::snapshot));
    if (present) continue;
    SEMPER_CO_TRY_STATUS(co_await transaction.add_read_conflict_range(KeyRange::point(*host)));
    transaction.clear(row.key);
  }
  co_return Status{};
}

// Rows of hosts that are gone go, whoever has removed the host's own.
Async<void> Membership::look_at_speech(Transaction& transaction, Sightings& seen) const {
  const auto& prefix = core_->tenant.prefix();
  SEMPER_CO_TRY(const auto rows, co_await all_rows(transaction, speech_range(prefix)));
  for (const auto& row : rows) {
    const auto host = host_key_of_speech(prefix, row.key);
    if (!host) continue;
    const auto speaker = seen.find(*host);
    if (speaker == seen.end()) {
      SEMPER_CO_TRY(const auto present, co_await transaction.get(*host, ReadMode::snapshot));
      if (present) continue;  // one that cannot be read here
      SEMPER_CO_TRY_STATUS(co_await transaction.add_read_conflict_range(KeyRange::point(*host)));
      transaction.clear(row.key);
      continue;
    }
    auto types = decode_speech(row.value);
    if (!types) continue;  // as of one that does not say
    for (auto& type : *types) {
      const std::string name = type.type;
      speaker->second.speech.emplace(name, std::move(type));
    }
  }
  co_return Status{};
}

void Membership::learn(Sightings seen) {
  std::lock_guard lock(mutex_);
  const bool changed =
      seen.size() != hosts_.size() ||
      !std::equal(seen.begin(), seen.end(), hosts_.begin(), [](const auto& a, const auto& b) {
        return a.first == b.first && a.second.types == b.second.types &&
               a.second.speech == b.second.speech;
      });
  // Whether it ended in order cannot be told from here.
  for (const auto& [key, sighting] : hosts_) {
    if (!seen.contains(key)) core_->suspicion.renew();
  }
  hosts_ = std::move(seen);
  if (changed) changes_.announce();
}

// As often as the shortest lease wants.
Duration Membership::until_next_look() const {
  Duration shortest = core_->options.host_lease;
  std::lock_guard lock(mutex_);
  for (const auto& [key, sighting] : hosts_) shortest = std::min(shortest, sighting.lease);
  return look_interval(shortest);
}

Task<std::unique_ptr<Watch>> Membership::watch_others() {
  Transaction transaction = core_->store().begin();
  auto watching = co_await transaction.watch(hosts_wake_key(core_->tenant.prefix()));
  if (!watching) co_return nullptr;
  co_return std::move(*watching);
}

Async<void> Membership::look_around(bool renews) {
  SEMPER_CO_TRY(const auto turn, co_await turns_.take());
  if (core_->stopping.stop_requested()) co_return Status{};
  if (renews) {
    SEMPER_CO_TRY_STATUS(co_await renew());
  }
  co_return co_await observe();
}

Task<void> Membership::run(std::shared_ptr<Membership> self,
                           std::function<Async<void>()> housekeeping) {
  auto& core = *self->core_;
  const Duration interval = renewal_interval(core.options.host_lease);
  MonotonicTime renew_at = core.clock().after(interval);
  while (!core.stopping.stop_requested()) {
    // Before the look: whatever changes after that ends the wait.
    std::unique_ptr<Watch> watch = co_await self->watch_others();
    const bool due = core.clock().now() >= renew_at;
    if (due) renew_at = core.clock().after(interval);
    const Status status = co_await self->look_around(due);
    if (!status && self->must_end(status.error())) co_return;
    if (core.stopping.stop_requested()) break;
    if (status) {
      core.trouble.succeeded(core.clock().now());
    } else {
      core.trouble.failed(core.clock().now(), "the host's registration was not renewed",
                          status.error());
    }
    if (due && status) {
      const Status kept = co_await housekeeping();
      if (!kept) log_warning("server", kept.error().to_string());
    }
    if (SEMPER_MUTANT("server_hosts_looked_at_before_the_watch")) {
      watch = co_await self->watch_others();
    }
    const Duration pause = std::min(self->until_next_look(), renew_at - core.clock().now());
    co_await wait_for_news(core, std::move(watch), {}, std::max(Duration(0), pause));
  }
  const Status left = co_await self->leave();
  if (!left) {
    log_warning("server",
                "the host's registration was not removed, others will notice by its age: " +
                    left.error().to_string());
  }
}

bool Membership::must_end(const Error& error) {
  auto failure = find_failure(core_->store());
  if (!failure && error.kind() == ErrorKind::closed) failure = error;
  if (!failure) return false;
  log_error("server", "host " + core_->name +
                          " ends, its store has failed for good: " + failure->to_string());
  core_->failed = std::move(failure);
  core_->stopping.request_stop();
  return true;
}

Async<void> Membership::leave() {
  SEMPER_CO_TRY(const auto turn, co_await turns_.take());
  const auto& prefix = core_->tenant.prefix();
  co_return co_await core_->store().transact([&](Transaction& transaction) -> Async<void> {
    transaction.clear(host_key(prefix, core_->id));
    transaction.clear(speech_key(prefix, core_->id));
    transaction.clear(version_times_key(prefix, core_->id));
    transaction.add(hosts_wake_key(prefix), 1);
    co_return Status{};
  });
}

Membership::Share Membership::share(const std::string& type, std::uint32_t shard) const {
  const Bytes own = host_key(core_->tenant.prefix(), core_->id);
  std::lock_guard lock(mutex_);
  const auto served = types_.find(type);
  if (served == types_.end()) return Share::none;
  const std::uint64_t mine = claim(own, type, shard);
  std::optional<SpokenType> speech;  // ours; made where somebody comes before us
  std::uint64_t highest = 0;
  bool is_first = true;
  bool first_marks = false;  // the one whose shard it is
  for (const auto& [host, sighting] : hosts_) {
    if (host == own || !sighting.types.contains(type)) continue;
    const std::uint64_t theirs = claim(host, type, shard);
    if (theirs < mine || (theirs == mine && host < own)) continue;
    if (!speech)
      speech = spoken_of(served->second->behaviour(), served->second->left_alone().is_behind());
    const auto spoken = sighting.speech.find(type);
    const bool says = spoken != sighting.speech.end();
    const bool covers = says ? spoken->second.covers(*speech) : speech->state_version == 1;
    if (covers || SEMPER_MUTANT("server_older_host_keeps_its_shards")) return Share::none;
    if (is_first || theirs > highest) first_marks = says;
    highest = std::max(highest, theirs);
    is_first = false;
  }
  return is_first || !first_marks ? Share::all : Share::marked;
}

}  // namespace semper::internal
