#include "server/serve/key_reaper.h"

#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/store/too_old.h"
#include "semper/store/tuple_text.h"
#include "server/format/half_full.h"
#include "server/format/idempotency.h"
#include "server/format/orders.h"
#include "server/format/timers.h"
#include "server/serve/waiting.h"

namespace semper::internal {
namespace {

// One entry of the index. Nothing but the entry goes where the key is used again, or is not done
// any more. Error: nothing is changed.
Async<void> forget(Transaction& transaction, BytesView prefix, const std::string& type,
                   const ExpiryEntry& entry) {
  const EntityId id{type, entry.id};
  const EntityKeys keys(prefix, id);
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.key(entry.message, entry.text)));
  Result<KeyRecord> record = KeyRecord();
  if (raw) record = KeyRecord::decode(*raw);
  if (!record) co_return fail(record.error().in(id.to_string()));
  bool is_over = raw && record->is_done() && record->expires_ms == entry.expires_ms;
  if (is_over) {
    SEMPER_CO_TRY(const auto order, co_await transaction.get(keys.order()));
    Result<Order> standing = Order();
    if (order) standing = Order::decode(*order);
    if (!standing) co_return fail(standing.error().in(id.to_string()));
    // Whoever carries a kill out takes it, and it is not counted any more.
    const bool is_killed =
        order && standing->kind == Order::Kind::kill && record->stamp < standing->stamp;
    is_over = !is_killed;
  }
  transaction.clear(keys.key_expiry(entry.expires_ms, entry.message, entry.text));
  if (!is_over) co_return Status{};
  clear_key(transaction, keys, entry.message, entry.text, *record);
  transaction.add(keys.key_count(), -1);
  co_return Status{};
}

}  // namespace

Task<void> KeyReaper::run(std::shared_ptr<ServedType> type,
                          std::shared_ptr<Membership> membership) {
  auto& core = type->served().core();
  auto inside = core.gate.enter();
  if (!inside) co_return;
  while (!core.stopping.stop_requested()) {
    const auto any = co_await has_keys(*type);
    Status reaped;
    if (!any) reaped = fail(any.error());
    for (std::uint32_t shard = 0; any && *any && shard < kIndexShards && reaped; ++shard) {
      if (membership->prefers(type->type(), shard)) reaped = co_await reap(*type, shard);
    }
    if (!reaped && reaped.error().kind() != ErrorKind::closed && !is_too_old(reaped.error())) {
      core.trouble.failed(core.clock().now(), "forgetting idempotency keys of type " + type->type(),
                          reaped.error());
    }
    OneShot<std::monostate> nothing_else;
    co_await wait_for_news(core, nullptr, nothing_else, kKeysLook);
  }
}

Async<bool> KeyReaper::has_keys(ServedType& type) {
  auto& core = type.served().core();
  Transaction transaction = core.store().begin();
  const RangeOptions first{.limit = 1, .mode = ReadMode::snapshot};
  const KeyRange all = expiry_range(core.tenant.prefix(), type.type());
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(all, first));
  co_return !page.rows.empty();
}

Async<void> KeyReaper::reap(ServedType& type, std::uint32_t shard) {
  auto& core = type.served().core();
  const std::int64_t now_ms = to_timer_ms(core.clock().wall_time());
  KeyRange rest = expiry_range_until(core.tenant.prefix(), type.type(), shard, now_ms);
  while (!rest.empty() && !core.stopping.stop_requested()) {
    const auto some = [&](Transaction& transaction) { return reap_some(type, transaction, rest); };
    SEMPER_CO_TRY(rest.begin, co_await core.store().transact(some));
  }
  co_return Status{};
}

Async<Bytes> KeyReaper::reap_some(ServedType& type, Transaction& transaction,
                                  const KeyRange& over) {
  const Bytes& prefix = type.served().core().tenant.prefix();
  const RangeOptions some{.limit = kKeysReapedPerTransaction, .mode = ReadMode::snapshot};
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(over, some));
  for (const auto& row : page.rows) {
    if (is_half_full(transaction)) co_return row.key;
    const auto entry = entry_of_expiry_key(prefix, row.key);
    Status forgotten;
    if (entry) forgotten = co_await forget(transaction, prefix, type.type(), *entry);
    if (entry && forgotten) continue;
    // A newer host forgets it: it stays as it is, and keeps nobody from those behind it.
    const bool is_beyond = !forgotten && forgotten.error().kind() == ErrorKind::unsupported &&
                           !SEMPER_MUTANT("server_key_beyond_a_host_stops_its_shard");
    if (is_beyond) continue;
    if (!forgotten && forgotten.error().kind() != ErrorKind::corrupt) {
      co_return fail(forgotten.error());
    }
    transaction.clear(row.key);  // its key is left alone
    const Error& why = entry ? forgotten.error() : entry.error();
    log_error("server", "an idempotency key cannot be forgotten: " + why.to_string());
  }
  co_return page.more ? key_after(page.rows.back().key) : over.end;
}

}  // namespace semper::internal
