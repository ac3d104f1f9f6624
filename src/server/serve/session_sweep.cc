#include "server/serve/session_sweep.h"

#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/format/keys.h"
#include "server/format/records.h"
#include "server/send/sessions.h"

namespace semper::internal {

SessionSweep::SessionSweep(std::shared_ptr<HostCore> core) : core_(std::move(core)) {
  if (!core_->tenant.store()) return;
  from_ = session_key(core_->tenant.prefix(), core_->env().random->bytes(kSessionBytes));
}

SessionSweep::Sign SessionSweep::sign_of(const std::optional<Bytes>& row) const {
  Sign sign{0, kSessionLease};
  if (!row) return sign;
  if (auto record = decode_alive(*row)) {
    sign.renewals = record->renewals;
    sign.lease = lease_from_row(record->lease_ms).value_or(kSessionLease);
  }
  return sign;
}

Async<void> SessionSweep::round() {
  const Duration now = attention_.look(core_->clock().now(), look_interval(kSessionLease));
  Suspicions suspicions;
  Bytes from;
  const Status swept =
      co_await core_->store().transact([&](Transaction& transaction) -> Async<void> {
        suspicions = suspicions_;
        from = from_;
        SEMPER_CO_TRY_STATUS(co_await judge(transaction, now, suspicions));
        co_return co_await suspect(transaction, now, suspicions, from);
      });
  if (!swept) co_return swept;
  suspicions_ = std::move(suspicions);
  from_ = std::move(from);
  co_return Status{};
}

// Looks again at those whose lease is over.
Async<void> SessionSweep::judge(Transaction& transaction, Duration now,
                                Suspicions& suspicions) const {
  const auto& prefix = core_->tenant.prefix();
  std::size_t judged = 0;
  for (auto place = suspicions.begin(); place != suspicions.end() && judged < kSessionsJudged;) {
    const auto& [session, suspicion] = *place;
    if (now - suspicion.since <= suspicion.lease) {
      ++place;
      continue;
    }
    ++judged;
    SEMPER_CO_TRY(const auto row, co_await transaction.get(session_key(prefix, session)));
    if (sign_of(row).renewals == suspicion.renewals ||
        SEMPER_MUTANT("server_living_session_swept")) {
      transaction.clear_range(everything_of_session(prefix, session));
    }
    place = suspicions.erase(place);
  }
  co_return Status{};
}

// Fills the places that are free: one seek per session, whatever number of replies it has.
Async<void> SessionSweep::suspect(Transaction& transaction, Duration now, Suspicions& suspicions,
                                  Bytes& from) const {
  const auto& prefix = core_->tenant.prefix();
  const KeyRange all = session_range(prefix);
  KeyRange rest{std::max(from, all.begin), all.end};
  for (std::size_t i = 0; i < kSessionsSuspected && suspicions.size() < kSessionsSuspected; ++i) {
    SEMPER_CO_TRY(const auto page,
                  co_await transaction.get_range(rest, {.limit = 1, .mode = ReadMode::snapshot}));
    if (page.rows.empty()) {
      // From the beginning, in the next round.
      from = all.begin;
      co_return Status{};
    }
    const auto& first = page.rows.front();
    const auto named = session_of_key(prefix, first.key);
    if (!named) {
      // Somebody else's: it keeps nobody from sweeping what lies behind it.
      rest.begin = key_after(first.key);
      from = rest.begin;
      continue;
    }
    const Bytes& session = *named;
    std::optional<Bytes> row;
    if (first.key == session_key(prefix, session)) row = first.value;
    const Sign sign = sign_of(row);
    const Suspicion fresh{sign.renewals, now, sign.lease};
    const auto [place, is_new] = suspicions.try_emplace(session, fresh);
    if (!is_new && place->second.renewals != fresh.renewals) place->second = fresh;
    rest.begin = everything_of_session(prefix, session).end;
    from = rest.begin;
  }
  co_return Status{};
}

}  // namespace semper::internal
