// What list_keys.h says of idempotency keys, and forgetting one.
#include <algorithm>
#include <utility>

#include "semper/env/cancellation.h"
#include "semper/server/list_keys.h"
#include "server/admin/snapshot_reads.h"
#include "server/format/idempotency.h"
#include "server/format/orders.h"
#include "server/format/replies.h"
#include "server/format/timers.h"
#include "server/format/tuple_key.h"

namespace semper {
namespace {

using internal::EntityKeys;
using internal::KeyRecord;
using namespace internal::admin;

// Of long replies that one list holds; the others are left out.
constexpr std::size_t kListedReplyBytes = 1u << 20;

// Of an order to kill: the keys that were accepted before it are gone, whatever still lies about.
Async<std::optional<Versionstamp>> killed_at(Transaction& transaction, const EntityKeys& keys) {
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(keys.order()));
  if (!raw) co_return std::nullopt;
  auto order = internal::Order::decode(*raw);
  if (!order) co_return fail(at_key(order.error(), keys.order()));
  if (order->kind != internal::Order::Kind::kill) co_return std::nullopt;
  co_return order->stamp;
}

Async<Bytes> read_chunks(Transaction& transaction, const Bytes& row) {
  Bytes reply;
  const auto add = [&](const KeyValue& chunk) -> Result<bool> {
    reply += chunk.value;
    return true;
  };
  SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, internal::below(row), kRowsPerPage, add));
  co_return reply;
}

// A key that is not over, with its row.
struct Found {
  KeyView view;
  Bytes row;
  KeyRecord record;
};

Result<std::optional<Found>> found_in(const KeyValue& row, const Tenant& tenant,
                                      const std::optional<Versionstamp>& killed,
                                      std::int64_t now_ms) {
  auto name = internal::name_of_key(tenant.prefix(), row.key);
  if (!name) return fail(at_key(name.error(), row.key));
  if (name->is_chunk) return std::optional<Found>();
  auto record = KeyRecord::decode(row.value);
  if (!record) {
    pass_over(record.error(), row.key);
    return std::optional<Found>();
  }
  const bool is_dead = killed && record->stamp < *killed;
  const bool is_over = record->is_done() && record->expires_ms <= now_ms;
  if (is_dead || is_over) return std::optional<Found>();
  std::optional<Found> found;
  auto& view = found.emplace().view;
  view.message = std::move(name->message);
  view.key = std::move(name->text);
  view.state = static_cast<KeyView::State>(record->state);
  const bool waits = record->state == KeyRecord::State::waiting;  // its own caller, too, is there
  view.attached_calls = record->callers.size() - (waits && !record->callers.empty() ? 1 : 0);
  if (record->is_done()) view.kept_until = internal::timer_time(record->expires_ms);
  found->row = row.key;
  found->record = std::move(*record);
  return found;
}

Async<std::vector<KeyView>> read_keys(Transaction& transaction, const EntityKeys& keys,
                                      const Tenant& tenant, const KeyListOptions& options) {
  std::vector<KeyView> views;
  if (options.limit == 0) co_return views;
  SEMPER_CO_TRY(const auto killed, co_await killed_at(transaction, keys));
  const std::int64_t now_ms = internal::to_timer_ms(tenant.store()->env().clock->wall_time());
  std::vector<Found> all;
  const auto add = [&](const KeyValue& row) -> Result<bool> {
    SEMPER_TRY(auto found, found_in(row, tenant, killed, now_ms));
    if (found) all.push_back(std::move(*found));
    return all.size() < options.limit;
  };
  KeyRange range = keys.idempotency_keys();
  if (!options.after_message.empty()) {
    const Bytes last = keys.key(options.after_message, options.after_key);
    range.begin = internal::below(last).end;
  }
  SEMPER_CO_TRY_STATUS(co_await for_each_row(transaction, range, kRowsPerPage, add));
  std::size_t bytes = 0;
  for (auto& found : all) {
    const bool is_long = found.record.chunks > 0;
    if (found.record.is_done() && (!is_long || bytes < kListedReplyBytes)) {
      if (is_long) {
        SEMPER_CO_TRY(found.record.reply, co_await read_chunks(transaction, found.row));
        bytes += found.record.reply.size();
      }
      auto reply = internal::decode_reply(found.record.reply);
      if (!reply) co_return fail(at_key(reply.error(), found.row));
      found.view.reply = std::move(*reply);
    }
    views.push_back(std::move(found.view));
  }
  co_return views;
}

Error no_key(const EntityId& id, const std::string& message, const std::string& key) {
  return Error(ErrorKind::not_found, id.to_string() + " knows no key \"" + to_printable(key, 64) +
                                         "\" of " + to_printable(message, 64));
}

Async<void> take_away(Transaction& transaction, const Tenant& tenant, const EntityKeys& keys,
                      const EntityId& id, const std::string& message, const std::string& key) {
  const Bytes row = keys.key(message, key);
  SEMPER_CO_TRY(const auto raw, co_await transaction.get(row));
  if (!raw) co_return fail(no_key(id, message, key));
  SEMPER_CO_TRY(const auto killed, co_await killed_at(transaction, keys));
  const auto record = KeyRecord::decode(*raw);
  if (record && killed && record->stamp < *killed) co_return fail(no_key(id, message, key));
  // An entry that stays of one that cannot be read finds no row when its time comes, and goes.
  if (record) {
    internal::clear_key(transaction, keys, message, key, *record);
    std::vector<internal::OutgoingReply> replies;
    const Bytes told =
        internal::encode_reply_error(Error(ErrorKind::closed, "the key was forgotten: " + key));
    for (const auto& caller : record->callers) replies.push_back({caller, told});
    SEMPER_CO_TRY_STATUS(co_await internal::write_replies(transaction, tenant.prefix(), replies));
  } else {
    transaction.clear(row);
    transaction.clear_range(internal::below(row));
  }
  transaction.add(keys.key_count(), -1);
  co_return Status{};
}

Async<void> forget(Tenant tenant, EntityId id, std::string message, std::string key) {
  SEMPER_CO_TRY_STATUS(id.validate());
  SEMPER_CO_TRY_STATUS(internal::check_key_text(key));
  if (!tenant.store()) co_return fail(tenant.store().error());
  if (!is_utf8(message)) co_return fail(no_key(id, message, key));
  const EntityKeys keys(tenant.prefix(), id);
  co_return co_await tenant.store()->transact([&](Transaction& transaction) {
    return take_away(transaction, tenant, keys, id, message, key);
  });
}

}  // namespace

Async<std::vector<KeyView>> list_keys(Tenant tenant, EntityId id, KeyListOptions options) {
  if (!is_utf8(options.after_message) || !is_utf8(options.after_key)) {
    co_return fail(ErrorKind::invalid_argument,
                   "keys of " + id.to_string() + ": the one to begin after is not UTF-8");
  }
  co_return co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
    return read_keys(transaction, keys, tenant, options);
  });
}

Async<std::uint64_t> count_keys(Tenant tenant, EntityId id) {
  return count_in_snapshot(std::move(tenant), std::move(id), &EntityKeys::key_count);
}

Async<void> forget_key(Tenant tenant, EntityId id, std::string message, std::string key) {
  return run_through(forget(std::move(tenant), std::move(id), std::move(message), std::move(key)));
}

}  // namespace semper
