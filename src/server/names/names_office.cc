#include "server/names/names_office.h"

#include <unistd.h>

#include <algorithm>
#include <optional>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/env/backoff.h"
#include "server/format/name_keys.h"
#include "server/format/records.h"
#include "server/serve/waiting.h"

namespace semper::internal {
namespace {

constexpr std::size_t kNamesSessionBytes = 8;
// Graves that are looked at together; one that was seen at so many looks is cleared by whoever sees
// it.
constexpr std::size_t kGravesAtOnce = 16;
constexpr int kGraveLooks = 2;
constexpr Duration kLeaseMinimum = std::chrono::milliseconds(30);
const BackoffOptions kPauses = {.initial = std::chrono::milliseconds(5),
                                .maximum = std::chrono::seconds(1)};

NameRegistryOptions completed(NameRegistryOptions options) {
  options.lease = std::max(options.lease, kLeaseMinimum);
  if (options.owner.empty()) {
    options.owner =
        program_invocation_short_name == nullptr ? "process" : program_invocation_short_name;
    options.owner += " " + std::to_string(getpid());
  }
  return options;
}

}  // namespace

NamesOffice::NamesOffice(Tenant of, NameRegistryOptions with, const Executor& executor)
    : tenant(std::move(of)), options(completed(std::move(with))), home(executor) {}

Status NamesOffice::check() const {
  SEMPER_TRY_STATUS(fork_.check("this registry of names"));
  if (is_stopping()) return fail(closed());
  return {};
}

Task<void> NamesOffice::pause(Duration at_most) {
  OneShot<std::monostate> over;
  const StopCallback on_stop(stopping_.get_token(), [over]() mutable { over.set({}); });
  static_cast<void>(co_await over.wait_until(clock(), clock().after(at_most)));
}

Task<void> NamesOffice::wait(std::shared_ptr<NameAsking> asking, std::shared_ptr<Watch> change,
                             MonotonicTime until) {
  auto next = asking->news.next();
  if (asking->is_left.load() || is_stopping()) co_return;
  const StopCallback on_stop(stopping_.get_token(), [asking] { asking->news.announce(); });
  std::optional<CancelOnExit> ends_with_this;
  if (change) {
    ends_with_this.emplace(watch_beside(home.executor(), std::move(change), until,
                                        [asking] { asking->news.announce(); }));
  }
  static_cast<void>(co_await next.event().wait_until(clock(), until));
}

// ---- the session ---

Async<std::shared_ptr<NameSession>> NamesOffice::session() {
  begin_upkeep();
  SEMPER_CO_TRY(const auto turn, co_await opening_.take());
  {
    std::lock_guard lock(mutex_);
    if (session_ && session_->is_valid()) co_return session_;
  }
  co_return co_await open_session();
}

Async<std::shared_ptr<NameSession>> NamesOffice::open_session() {
  const Bytes id = store().env().random->bytes(kNamesSessionBytes);
  const Bytes key = names_session_key(prefix(), id);
  AliveRecord record;
  record.name = options.owner;
  record.renewals = ++renewals_;
  record.renewed_ms =
      std::chrono::floor<std::chrono::milliseconds>(clock().wall_time()).time_since_epoch().count();
  record.lease_ms = lease_in_row(options.lease);
  const Bytes row = encode_alive(record);
  const auto write = [&](Transaction& transaction) -> Async<void> {
    transaction.set(key, row);
    co_return Status{};
  };
  const MonotonicTime begun = clock().now();
  SEMPER_CO_TRY_STATUS(co_await store().transact(write));
  auto inside = gate_.enter();
  if (!inside) {
    static_cast<void>(co_await bury_and_clear(id, std::nullopt));
    co_return fail(closed());
  }
  const Duration trusted = trusted_part(options.lease);
  auto session =
      NameSession::begin(id, clock(), home, trusted == kForever ? kNever : begun + trusted);
  {
    std::lock_guard lock(mutex_);
    session_ = session;
  }
  asio::co_spawn(home.executor(), keep(shared_from_this(), session, std::move(*inside)),
                 asio::detached);
  co_return session;
}

Task<void> NamesOffice::keep(std::shared_ptr<NamesOffice> self,
                             std::shared_ptr<NameSession> session, Gate::Holder inside) {
  const Gate::Holder until_the_end = std::move(inside);
  const Duration lease = self->options.lease;
  const Duration interval = renewal_interval(lease);
  Backoff backoff(kPauses, *self->store().env().random);
  Duration until_next = interval;
  while (true) {
    co_await self->pause(until_next);
    if (self->is_stopping() || !session->is_valid()) break;
    const MonotonicTime begun = self->clock().now();
    const auto renewed = co_await self->renew(*session);
    if (!renewed) {
      if (renewed.error().kind() == ErrorKind::closed) break;
      log_warning("server", "the lease on the names of " + self->options.owner +
                                " was not renewed, trying again: " + renewed.error().to_string());
      until_next = std::min(backoff.next(), interval);
      continue;
    }
    if (!*renewed) {
      log_warning("server", self->options.owner +
                                " was taken for dead and has lost its names: it did not renew its "
                                "lease in time");
      break;
    }
    backoff.reset();
    const Duration trusted = trusted_part(lease);
    if (!session->extend(trusted == kForever ? kNever : begun + trusted)) {
      log_warning("server", self->options.owner +
                                " has lost its names: the renewal of its lease took longer than "
                                "the lease");
      break;
    }
    until_next = interval - std::min(interval, self->clock().now() - begun);
  }
  session->end();
  const Status retired = co_await self->retire(*session);
  std::lock_guard lock(self->mutex_);
  self->retired_ = retired;
}

// False: another one has taken it for dead.
Async<bool> NamesOffice::renew(const NameSession& session) {
  const Bytes key = names_session_key(prefix(), session.id());
  const auto write = [&](Transaction& transaction) -> Async<bool> {
    SEMPER_CO_TRY(const auto row, co_await transaction.get(key));
    if (!row && !SEMPER_MUTANT("server_names_taken_for_dead_unnoticed")) co_return false;
    AliveRecord record;
    record.name = options.owner;
    record.renewals = ++renewals_;
    record.renewed_ms = std::chrono::floor<std::chrono::milliseconds>(clock().wall_time())
                            .time_since_epoch()
                            .count();
    record.lease_ms = lease_in_row(options.lease);
    transaction.set(key, encode_alive(record));
    co_return true;
  };
  TransactOptions at_most;
  at_most.timeout = options.lease;
  co_return co_await store().transact(write, at_most);
}

// What it held is free for others at once, or, where the store does not answer, after the lease.
Async<void> NamesOffice::retire(const NameSession& session) {
  const MonotonicTime latest = clock().after(options.lease);
  Backoff backoff(kPauses, *store().env().random);
  while (true) {
    const Status done = co_await bury_and_clear(session.id(), std::nullopt);
    if (done || done.error().kind() == ErrorKind::closed || clock().now() >= latest) co_return done;
    static_cast<void>(co_await sleep_for(clock(), backoff.next()));
  }
}

Async<void> NamesOffice::bury_and_clear(const Bytes& session,
                                        std::optional<std::uint64_t> renewals) {
  const auto bury = [&](Transaction& transaction) {
    return bury_session(transaction, prefix(), session, renewals);
  };
  SEMPER_CO_TRY(const bool buried, co_await store().transact(bury));
  if (!buried && renewals) co_return Status{};
  co_return co_await clear(session);
}

Async<void> NamesOffice::clear(const Bytes& session) {
  const auto some = [&](Transaction& transaction) {
    return clear_buried(transaction, prefix(), session);
  };
  // Each step leaves fewer rows, and there come no more.
  while (true) {
    SEMPER_CO_TRY(const bool done, co_await store().transact(some));
    if (done) co_return Status{};
  }
}

// ---- others that die ---

void NamesOffice::begin_upkeep() {
  if (has_upkeep_.exchange(true)) return;
  auto inside = gate_.enter();
  if (!inside) return;
  auto holder = std::make_shared<Gate::Holder>(std::move(*inside));
  home.spawn([self = shared_from_this(), holder] { return look_after(self, std::move(*holder)); });
}

Task<void> NamesOffice::look_after(std::shared_ptr<NamesOffice> self, Gate::Holder inside) {
  const Gate::Holder until_the_end = std::move(inside);
  bool is_troubled = false;
  while (!self->is_stopping()) {
    const Status looked = co_await self->look();
    if (!looked && looked.error().kind() == ErrorKind::closed) co_return;
    if (!looked && !std::exchange(is_troubled, true)) {
      log_warning("server", "holders of names that have died are not noticed for now: " +
                                looked.error().to_string());
    }
    if (looked) is_troubled = false;
    co_await self->pause(self->until_next_look());
  }
}

// As often as the shortest lease wants.
Duration NamesOffice::until_next_look() const {
  Duration shortest = options.lease;
  for (const auto& [session, seen] : seen_) shortest = std::min(shortest, seen.lease);
  return look_interval(shortest);
}

Async<void> NamesOffice::look() {
  const Duration now = attention_.look(clock().now(), step_maximum(until_next_look()));
  std::map<Bytes, Seen> seen;
  SEMPER_CO_TRY_STATUS(co_await look_at_sessions(seen, now));
  std::vector<std::pair<Bytes, Seen>> dead;
  for (auto& [session, sighting] : seen) {
    const auto known = seen_.find(session);
    if (known != seen_.end() && known->second.renewals == sighting.renewals) {
      sighting.changed = known->second.changed;
    }
    if (now - sighting.changed > sighting.lease) dead.emplace_back(session, sighting);
  }
  seen_ = std::move(seen);
  for (const auto& [session, last] : dead) {
    log_info("server", to_printable(last.owner) + " has not renewed its lease: its names are free" +
                           " (session " + to_hex(session) + ")");
    SEMPER_CO_TRY_STATUS(co_await bury_and_clear(session, last.renewals));
  }
  co_return co_await look_at_graves();
}

Async<void> NamesOffice::look_at_sessions(std::map<Bytes, Seen>& seen, Duration now) {
  const auto read = [&](Transaction& transaction) -> Async<void> {
    seen.clear();
    KeyRange rest = names_sessions(prefix());
    for (bool more = true; more;) {
      RangeOptions options_of_page;
      options_of_page.mode = ReadMode::snapshot;
      SEMPER_CO_TRY(const auto page, co_await transaction.get_range(rest, options_of_page));
      for (const auto& row : page.rows) {
        const auto record = decode_alive(row.value);
        const auto session = session_of_names_key(prefix(), row.key);
        if (!record || !session) continue;
        Seen sighting;
        sighting.owner = record->name;
        sighting.renewals = record->renewals;
        sighting.changed = now;
        sighting.lease = lease_from_row(record->lease_ms).value_or(NameRegistryOptions().lease);
        seen.emplace(*session, sighting);
      }
      more = page.more && !page.rows.empty();
      if (more) rest.begin = key_after(page.rows.back().key);
    }
    co_return Status{};
  };
  co_return co_await store().transact(read);
}

// What those who buried a session did not come to clear.
Async<void> NamesOffice::look_at_graves() {
  std::map<Bytes, int> found;
  const auto read = [&](Transaction& transaction) -> Async<void> {
    found.clear();
    RangeOptions some;
    some.limit = kGravesAtOnce;
    some.mode = ReadMode::snapshot;
    SEMPER_CO_TRY(const auto page, co_await transaction.get_range(names_graves(prefix()), some));
    for (const auto& row : page.rows) {
      const auto session = session_of_names_key(prefix(), row.key);
      if (session) found[*session] = 1;
    }
    co_return Status{};
  };
  SEMPER_CO_TRY_STATUS(co_await store().transact(read));
  for (auto& [session, looks] : found) {
    const auto known = graves_.find(session);
    if (known != graves_.end()) looks += known->second;
  }
  graves_ = found;
  for (const auto& [session, looks] : found) {
    if (looks < kGraveLooks) continue;
    SEMPER_CO_TRY_STATUS(co_await clear(session));
  }
  co_return Status{};
}

// ---- giving back ---

Async<bool> NamesOffice::give_back_now(const std::shared_ptr<NameSession>& session,
                                       const NameClaim& claim, LurkingCommit lurking) {
  Backoff backoff(kPauses, *store().env().random);
  const auto end_claim = [&](Transaction& transaction) {
    return give_back(transaction, claim, lurking);
  };
  while (true) {
    auto done = co_await store().transact(end_claim);
    if (done) co_return done;
    // A commit of this one may come to take effect still: done again, it finds out.
    const bool goes_on = session->is_valid() && !is_stopping();
    if (!goes_on || done.error().kind() == ErrorKind::closed) co_return done;
    co_await pause(backoff.next());
  }
}

void NamesOffice::give_back_later(std::shared_ptr<NameSession> session,
                                  std::shared_ptr<const NameClaim> claim) {
  if (fork_.is_foreign() || is_stopping() || !session->is_valid()) return;
  auto inside = gate_.enter();
  if (!inside) return;
  auto holder = std::make_shared<Gate::Holder>(std::move(*inside));
  home.spawn([self = shared_from_this(), session = std::move(session), claim = std::move(claim),
              holder] { return keep_giving_back(self, session, claim, std::move(*holder)); });
}

Task<void> NamesOffice::keep_giving_back(std::shared_ptr<NamesOffice> self,
                                         std::shared_ptr<NameSession> session,
                                         std::shared_ptr<const NameClaim> claim,
                                         Gate::Holder inside) {
  const Gate::Holder until_the_end = std::move(inside);
  static_cast<void>(co_await self->give_back_now(session, *claim, LurkingCommit::perhaps));
}

// ---- the end ---

void NamesOffice::stop() {
  if (fork_.is_foreign()) return;
  stopping_.request_stop();
  gate_.shut();
  std::shared_ptr<NameSession> session;
  {
    std::lock_guard lock(mutex_);
    session = session_;
  }
  if (session) session->end();
}

Async<void> NamesOffice::close() {
  SEMPER_CO_TRY_STATUS(fork_.check("this registry of names"));
  auto self = shared_from_this();
  stop();
  co_await gate_.close();
  std::lock_guard lock(mutex_);
  co_return retired_;
}

}  // namespace semper::internal
