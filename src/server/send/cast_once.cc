#include "semper/server/cast_once.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/env/cancellation.h"
#include "server/format/enqueue.h"
#include "server/format/keys.h"
#include "server/format/orders.h"
#include "server/format/records.h"
#include "server/format/start_ledger.h"

namespace semper {
namespace {

using internal::EntityKeys;

// Casts of one transaction at most; their sizes and number are bounded by the store's limits, too.
constexpr std::size_t kCastsPerTransaction = 1'000;
// What casts to one entity write besides segments: two counters, an index entry, the source's
// number.
constexpr std::size_t kWritesPerEntity = 4;

// What one transaction does to one entity.
struct Share {
  explicit Share(BytesView prefix, const EntityId& to) : id(to), keys(prefix, id) {}
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  const EntityId id;
  const EntityKeys keys;
  std::vector<std::pair<std::uint64_t, RawMessage>> casts;
};
using Shares = std::map<std::pair<std::string, std::string>, std::unique_ptr<Share>>;

Status check(const OnceCast& cast, const Limits& limits) {
  Status valid = cast.to.validate();
  if (valid) {
    valid = internal::check_message_size(cast.message, {}, limits);
  }
  if (valid) return {};
  return fail(
      valid.error().in("cast " + std::to_string(cast.sequence) + " to " + cast.to.to_string()));
}

// The first casts from `next` on, as many as one transaction takes; moves `next` behind them.
Shares take(std::vector<OnceCast>& casts, std::size_t& next, BytesView prefix,
            const Limits& limits) {
  Shares shares;
  std::size_t bytes = 0;
  std::size_t operations = 0;
  for (std::size_t count = 0; next < casts.size() && count < kCastsPerTransaction; ++count) {
    OnceCast& cast = casts[next];
    bytes += internal::queued_size(cast.message) + 4 * (prefix.size() + cast.to.id.size() + 64);
    auto& share = shares[{cast.to.type, cast.to.id}];
    if (!share) {
      share = std::make_unique<Share>(prefix, cast.to);
      if (!SEMPER_MUTANT("server_cast_once_counts_bytes_only")) operations += kWritesPerEntity;
    }
    ++operations;  // its segment, at most
    share->casts.emplace_back(cast.sequence, std::move(cast.message));
    ++next;
    if (bytes > limits.transaction_bytes / 4 || operations > limits.transaction_operations / 2)
      break;
  }
  return shares;
}

Async<void> refuse_full(Transaction& transaction, const Share& share) {
  const auto mode = ReadMode::snapshot;
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(share.keys.header(), mode));
  SEMPER_CO_TRY(const auto pushed, co_await transaction.get(share.keys.pushed(), mode));
  std::uint64_t popped = 0;
  if (raw) {
    if (const auto header = internal::Header::decode(*raw)) popped = header->popped;
  }
  if (internal::count_waiting(pushed, popped) < kQueueMessagesMaximum) co_return Status{};
  co_return fail(ErrorKind::retry, Limit{"kQueueMessagesMaximum", kQueueMessagesMaximum},
                 "the queue of " + share.id.to_string() + " holds its " +
                     std::to_string(kQueueMessagesMaximum) +
                     " messages; is a host serving its type?");
}

Async<void> send(Transaction& transaction, const std::string& source, const Shares& shares) {
  internal::Enqueuer enqueuer(transaction);
  for (const auto& [id, share] : shares) {
    const Bytes key = share->keys.once(source);
    SEMPER_CO_TRY(const auto last_raw, co_await transaction.get(key));
    std::uint64_t last = internal::counter_value(last_raw);
    bool any = last_raw.has_value();
    std::vector<const RawMessage*> fresh;
    for (const auto& [sequence, message] : share->casts) {
      const std::uint64_t seen = SEMPER_MUTANT("server_cast_once_off_by_one") ? last - 1 : last;
      if (any && sequence <= seen) continue;
      fresh.push_back(&message);
      last = sequence;
      any = true;
    }
    if (fresh.empty()) continue;
    SEMPER_CO_TRY_STATUS(co_await refuse_full(transaction, *share));
    enqueuer.to(share->keys);
    for (const auto* message : fresh) enqueuer.add(Event::cast, *message);
    Bytes number;
    append_little_endian_u64(number, last);
    if (!SEMPER_MUTANT("server_cast_once_forgets")) transaction.set(key, number);
  }
  enqueuer.finish();
  co_return Status{};
}

// All that the start has not sent before.
Async<void> send_as(Transaction& transaction, BytesView prefix, const OnceStart& from,
                    const Shares& shares) {
  internal::StartLedger ledger(transaction, prefix, from);
  SEMPER_CO_TRY(const auto sent, co_await ledger.sent());
  internal::Enqueuer enqueuer(transaction);
  std::optional<std::uint64_t> last;
  for (const auto& [id, share] : shares) {
    bool any = false;
    for (const auto& [sequence, message] : share->casts) {
      if (sent && sequence <= *sent) continue;
      if (!any) {
        SEMPER_CO_TRY_STATUS(co_await refuse_full(transaction, *share));
        enqueuer.to(share->keys);
        any = true;
      }
      enqueuer.add(Event::cast, message);
      last = std::max(last.value_or(0), sequence);
    }
  }
  enqueuer.finish();
  if (last && !SEMPER_MUTANT("server_cast_once_forgets")) {
    SEMPER_CO_TRY_STATUS(co_await ledger.set_sent(*last));
  }
  co_return Status{};
}

Status check_name(std::string_view what, const std::string& name) {
  if (!name.empty() && name.size() <= kOnceSourceBytes && is_utf8(name)) return {};
  return fail(ErrorKind::invalid_argument, std::string(what) + " of casts is a name of 1 to " +
                                               std::to_string(kOnceSourceBytes) +
                                               " bytes of UTF-8, not \"" + to_printable(name) +
                                               "\"");
}

// `send_shares`: of one transaction, as Async<void>(Transaction&, const Shares&).
template <class SendShares>
Async<void> send_all(const Tenant& tenant, std::vector<OnceCast>& casts,
                     const SendShares& send_shares) {
  const Store& store = *tenant.store();
  for (const auto& cast : casts) SEMPER_CO_TRY_STATUS(check(cast, store.limits()));
  for (std::size_t next = 0; next < casts.size();) {
    const Shares shares = take(casts, next, tenant.prefix(), store.limits());
    SEMPER_CO_TRY_STATUS(co_await store.transact(
        [&](Transaction& transaction) { return send_shares(transaction, shares); }));
  }
  co_return Status{};
}

Async<void> send_from_source(Tenant tenant, std::string source, std::vector<OnceCast> casts) {
  if (!tenant.store()) co_return fail(tenant.store().error());
  SEMPER_CO_TRY_STATUS(check_name("the source", source));
  const auto send_shares = [&](Transaction& transaction, const Shares& shares) {
    return send(transaction, source, shares);
  };
  co_return co_await send_all(tenant, casts, send_shares);
}

Async<void> send_from_start(Tenant tenant, OnceStart from, std::vector<OnceCast> casts) {
  if (!tenant.store()) co_return fail(tenant.store().error());
  SEMPER_CO_TRY_STATUS(check_name("the log", from.log));
  SEMPER_CO_TRY_STATUS(check_name("the start", from.start));
  const auto send_shares = [&](Transaction& transaction, const Shares& shares) {
    return send_as(transaction, tenant.prefix(), from, shares);
  };
  co_return co_await send_all(tenant, casts, send_shares);
}

}  // namespace

Async<void> cast_once(Tenant tenant, std::string source, std::vector<OnceCast> casts) {
  return run_through(send_from_source(std::move(tenant), std::move(source), std::move(casts)));
}

Async<void> cast_once(Tenant tenant, OnceStart from, std::vector<OnceCast> casts) {
  return run_through(send_from_start(std::move(tenant), std::move(from), std::move(casts)));
}

}  // namespace semper
