// Dead letters that are counted, go back to their queue, or are deleted.
#include "semper/server/dead_letters.h"

#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "semper/env/cancellation.h"
#include "server/admin/snapshot_reads.h"
#include "server/format/enqueue.h"
#include "server/format/key_book.h"
#include "server/format/records.h"

namespace semper {
namespace {

using internal::EntityKeys;
using namespace internal::admin;

// What one transaction of many has done.
struct Part {
  std::uint64_t letters = 0;
  Bytes last;                    // key of the last one
  std::optional<Error> damaged;  // the first that stays
  bool more = false;
};

// An order to kill that comes meanwhile is a conflict.
Async<bool> is_killed(Transaction& transaction, const EntityKeys& keys) {
  SEMPER_CO_TRY(const auto order, co_await transaction.get(keys.order()));
  if (!order) co_return false;
  SEMPER_CO_TRY(const auto decoded, internal::Order::decode(*order));
  co_return decoded.kind == internal::Order::Kind::kill;
}

// What was sent with an idempotency key is pending again; one that another message has done
// meanwhile goes along, and its host passes it over.
Async<void> enqueue(Transaction& transaction, const Tenant& tenant, const EntityKeys& keys,
                    const EntityId& id, const std::vector<internal::QueuedMessage>& messages) {
  internal::Enqueuer enqueuer(transaction);
  enqueuer.to(keys);
  internal::KeyBook book;
  const internal::KeyBook::Place place{transaction, transaction, tenant.prefix()};
  for (const auto& [event, content, caller, tick, key, chain] : messages) {
    enqueuer.add(event, content, caller, tick.get(), key.get(), chain.get());
    if (!key) continue;
    const internal::KeyAddress address{id, content.name, key->text};
    SEMPER_CO_TRY_STATUS(co_await book.look(place, address, internal::KeyBook::Loaded::no));
    if (!SEMPER_MUTANT("server_redriven_key_stays_failed")) book.redrive(address, *key, caller);
  }
  enqueuer.finish();
  book.settle(transaction, tenant.prefix());
  co_return Status{};
}

// One transaction's share of the letters in `letters`, oldest first. What cannot be read stays, and
// is in nobody's way.
Async<Part> redrive_some(Transaction& transaction, const Tenant& tenant, const EntityId& id,
                         const EntityKeys& keys, KeyRange letters, std::size_t limit) {
  Part done;
  SEMPER_CO_TRY(const bool killed, co_await is_killed(transaction, keys));
  if (killed) co_return done;
  SEMPER_CO_TRY(const auto page, co_await transaction.get_range(
                                     letters, {.limit = std::min(limit, kDeadLettersAtOnce)}));
  std::vector<internal::QueuedMessage> messages;
  std::size_t bytes = 0;
  for (const auto& row : page.rows) {
    done.more = page.more;
    auto record = internal::decode_dead_letter(row.value);
    if (!record) {
      if (!done.damaged) done.damaged = at_key(record.error(), row.key);
      done.last = row.key;
      continue;
    }
    bytes += row.key.size() + row.value.size();
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
  SEMPER_CO_TRY_STATUS(co_await enqueue(transaction, tenant, keys, id, messages));
  co_return done;
}

enum class Fate : std::uint8_t { back_to_queue, gone };

Async<void> take_named(Transaction& transaction, const Tenant& tenant, const EntityKeys& keys,
                       const EntityId& id, const std::vector<Versionstamp>& letters, Fate fate) {
  SEMPER_CO_TRY_STATUS(co_await require_entity(transaction, keys, id));
  SEMPER_CO_TRY(const bool killed, co_await is_killed(transaction, keys));
  std::vector<internal::QueuedMessage> messages;
  for (const auto& stamp : letters) {
    const Bytes key = keys.dead_letter_at(stamp);
    std::optional<Bytes> row;
    if (!killed) {
      SEMPER_CO_TRY(row, co_await transaction.get(key));
    }
    if (!row) {
      co_return fail(ErrorKind::not_found,
                     id.to_string() + " has no dead letter " + stamp.to_string() +
                         (messages.empty() ? "" : ", or it is named twice") + "; none was touched");
    }
    auto record = internal::decode_dead_letter(*row);
    if (!record && fate == Fate::back_to_queue) co_return fail(at_key(record.error(), key));
    messages.push_back(record ? std::move(record->message) : internal::QueuedMessage());
    transaction.clear(key);
    if (SEMPER_MUTANT("server_redrive_of_named_letters_half_done") && letters.size() > 1) break;
  }
  if (fate == Fate::gone || messages.empty()) co_return Status{};
  co_return co_await enqueue(transaction, tenant, keys, id, messages);
}

Async<void> take(Tenant tenant, EntityId id, std::vector<Versionstamp> letters, Fate fate) {
  if (letters.size() > kDeadLettersAtOnce) {
    co_return fail(ErrorKind::invalid_argument, Limit{"kDeadLettersAtOnce", kDeadLettersAtOnce},
                   std::to_string(letters.size()) +
                       " dead letters are more than one transaction "
                       "takes, " +
                       std::to_string(kDeadLettersAtOnce) + "; name fewer");
  }
  co_return co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
    return take_named(transaction, tenant, keys, id, letters, fate);
  });
}

Async<Part> purge_some(Transaction& transaction, const EntityKeys& keys, KeyRange letters,
                       std::optional<WallTime> before) {
  Part done;
  SEMPER_CO_TRY(const bool killed, co_await is_killed(transaction, keys));
  if (killed) co_return done;
  SEMPER_CO_TRY(const auto page,
                co_await transaction.get_range(letters, {.limit = kDeadLettersAtOnce}));
  done.more = page.more;
  for (const auto& row : page.rows) {
    const auto letter = internal::decode_dead_letter(row.value);
    // One that cannot be read has no time.
    const bool goes = !before || (letter && wall_time(letter->time_ms) < *before);
    done.last = row.key;
    if (!goes) continue;
    transaction.clear(row.key);
    ++done.letters;
  }
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
  bool stays = false;
  while (redriven < limit && !rest.empty()) {
    SEMPER_CO_TRY(const Part some, co_await tenant.store()->transact([&](Transaction& transaction) {
      return redrive_some(transaction, tenant, id, keys, rest, limit - redriven);
    }));
    redriven += some.letters;
    if (some.damaged && !std::exchange(stays, true)) {
      log_warning("server", "a dead letter of " + id.to_string() +
                                " stays where it is, and whichever else is damaged: " +
                                some.damaged->to_string());
    }
    if (!some.more) break;
    rest.begin = key_after(some.last);
  }
  co_return redriven;
}

Async<std::uint64_t> purge(Tenant tenant, EntityId id, std::optional<WallTime> before) {
  SEMPER_CO_TRY(
      const Bytes end,
      co_await in_snapshot(tenant, id, [&](Transaction& transaction, const EntityKeys& keys) {
        return end_of_dead_letters(transaction, keys, id);
      }));
  const EntityKeys keys(tenant.prefix(), id);
  KeyRange rest{keys.dead_letters().begin, end};
  std::uint64_t purged = 0;
  while (!rest.empty()) {
    SEMPER_CO_TRY(const Part some, co_await tenant.store()->transact([&](Transaction& transaction) {
      return purge_some(transaction, keys, rest, before);
    }));
    purged += some.letters;
    if (!some.more) break;
    rest.begin = key_after(some.last);
  }
  co_return purged;
}

Async<std::uint64_t> count(Tenant tenant, EntityId id) {
  co_return co_await in_snapshot(
      tenant, id, [&](Transaction& transaction, const EntityKeys& keys) -> Async<std::uint64_t> {
        SEMPER_CO_TRY(const auto standing, co_await standing_in_snapshot(transaction, keys));
        if (standing.is_killed()) co_return 0;
        co_return co_await count_rows(transaction, keys.dead_letters(), kDeadLettersCounted);
      });
}

}  // namespace

Async<std::uint64_t> count_dead_letters(Tenant tenant, EntityId id) {
  return run_through(count(std::move(tenant), std::move(id)));
}
Async<void> redrive_dead_letters(Tenant tenant, EntityId id, std::vector<Versionstamp> letters) {
  return run_through(
      take(std::move(tenant), std::move(id), std::move(letters), Fate::back_to_queue));
}
Async<void> delete_dead_letters(Tenant tenant, EntityId id, std::vector<Versionstamp> letters) {
  return run_through(take(std::move(tenant), std::move(id), std::move(letters), Fate::gone));
}
Async<std::uint64_t> purge_dead_letters(Tenant tenant, EntityId id,
                                        std::optional<WallTime> before) {
  return run_through(purge(std::move(tenant), std::move(id), before));
}

Async<std::uint64_t> redrive_dead_letters(Tenant tenant, EntityId id, std::size_t limit) {
  return run_through(redrive(std::move(tenant), std::move(id), limit));
}

}  // namespace semper
