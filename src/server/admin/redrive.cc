// Dead letters that go back to their queue.
#include <algorithm>
#include <utility>

#include "semper/env/cancellation.h"
#include "semper/server/inspect.h"
#include "server/admin/snapshot_reads.h"
#include "server/format/enqueue.h"
#include "server/format/records.h"

namespace semper {
namespace {

using internal::EntityKeys;
using namespace internal::admin;

// Dead letters that one transaction puts back.
constexpr std::size_t kLettersPerTransaction = 256;

struct Redriven {
  std::uint64_t letters = 0;
  Bytes last;  // key of the last one
  bool more = false;
};

// One transaction's share of the letters in `letters`, oldest first.
Async<Redriven> redrive_some(Transaction& transaction, const EntityKeys& keys, KeyRange letters,
                             std::size_t limit) {
  Redriven done;
  // An order to kill that comes meanwhile is a conflict.
  SEMPER_CO_TRY(const auto order, co_await transaction.get(keys.order()));
  if (order) {
    SEMPER_CO_TRY(const auto decoded, internal::Order::decode(*order));
    if (decoded.kind == internal::Order::Kind::kill) co_return done;
  }
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(
                                     letters, {.limit = std::min(limit, kLettersPerTransaction)}));
  std::vector<internal::QueuedMessage> messages;
  std::size_t bytes = 0;
  for (const auto& row : page.rows) {
    auto record = internal::decode_dead_letter(row.value);
    if (!record) co_return fail(at_key(record.error(), row.key));
    bytes += row.key.size() + row.value.size();
    done.more = page.more;
    if (!messages.empty() && bytes > transaction.limits().transaction_bytes / 2) {
      done.more = true;
      break;
    }
    transaction.clear(row.key);
    messages.push_back(std::move(record->message));
    done.last = row.key;
  }
  done.letters = messages.size();
  if (messages.empty()) co_return done;
  internal::Enqueuer enqueuer(transaction);
  enqueuer.to(keys);
  for (const auto& [event, content, caller, tick] : messages) {
    enqueuer.add(event, content, caller, tick.get());
  }
  enqueuer.finish();
  co_return done;
}

// Where the dead letters that are there now end; the range's begin where there are none.
Async<Bytes> end_of_dead_letters(Transaction& transaction, const EntityKeys& keys,
                                 const EntityId& id) {
  SEMPER_CO_TRY_STATUS(co_await require_entity(transaction, keys, id));
  const KeyRange all = keys.dead_letters();
  SEMPER_CO_TRY(const auto last,
                co_await transaction.get_range(
                    all, {.limit = 1, .order = Order::descending, .mode = ReadMode::snapshot}));
  co_return last.rows.empty() ? all.begin : key_after(last.rows.front().key);
}

Async<std::uint64_t> redrive(Tenant tenant, EntityId id, std::size_t limit) {
  // Letters that a host sets aside from now on are left for the next time.
  SEMPER_CO_TRY(
      const Bytes end,
      co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
        return end_of_dead_letters(transaction, keys, id);
      }));
  const EntityKeys keys(tenant.prefix(), id);
  KeyRange rest{keys.dead_letters().begin, end};
  std::uint64_t redriven = 0;
  while (redriven < limit && !rest.empty()) {
    SEMPER_CO_TRY(const Redriven some,
                  co_await tenant.store()->transact([&](Transaction& transaction) {
                    return redrive_some(transaction, keys, rest, limit - redriven);
                  }));
    redriven += some.letters;
    if (!some.more) break;
    rest.begin = key_after(some.last);
  }
  co_return redriven;
}

}  // namespace

Async<std::uint64_t> redrive_dead_letters(Tenant tenant, EntityId id, std::size_t limit) {
  return run_through(redrive(std::move(tenant), std::move(id), limit));
}

}  // namespace semper
