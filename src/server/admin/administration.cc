#include "server/admin/administration.h"

#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/format/key_book.h"
#include "server/format/orders.h"
#include "server/format/timers.h"

namespace semper::internal {
namespace {

// Kills of others that are carried out before this one.
constexpr int kKillRounds = 10;
// Attempts of a reset or unlock against consumers before it becomes an order to them.
constexpr int kResetAttempts = 3;
// Transactions of one removal at most: more than a queue at its bound needs.
constexpr std::size_t kRemovals = 1'000'000;

// No result of the lock's holder is written, and the message is handled from its beginning.
void take_lock(Transaction& transaction, const EntityKeys& keys, Header& header) {
  header.lock.reset();
  transaction.clear(keys.lock_renewal());
  handle_again(transaction, keys);
}

}  // namespace

Async<void> kill(std::shared_ptr<const Target> target) {
  if (!target->valid) co_return fail(target->valid.error());
  for (int round = 0; round < kKillRounds; ++round) {
    const auto give = [&](Transaction& transaction) -> Async<bool> {
      const RangeOptions first{.limit = 1, .mode = ReadMode::snapshot};
      SEMPER_CO_TRY(const auto page,
                    co_await transaction.get_range(target->keys.everything(), first));
      if (page.rows.empty()) {
        co_return fail(ErrorKind::not_found, "there is no " + target->id.to_string());
      }
      co_return co_await order_kill(transaction, *target);
    };
    const auto given = co_await target->store().transact(give);
    if (!given) {
      // Removed with another's kill, which came after this one had begun.
      if (round > 0 && given.error().kind() == ErrorKind::not_found) co_return Status{};
      co_return fail(given.error());
    }
    const auto removed = co_await remove_killed(*target, kRemovals);
    if (!removed) {
      co_return fail(removed.error().in(target->id.to_string() +
                                        " is killed, but what it held is not all removed (kill "
                                        "it again, or leave that to a host)"));
    }
    if (*given) co_return Status{};
  }
  co_return fail(ErrorKind::retry,
                 target->id.to_string() + " is being killed by others all the time; try again");
}

Async<void> reset(std::shared_ptr<const Target> target) {
  if (!target->valid) co_return fail(target->valid.error());
  const auto at_once = [&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY(auto standing,
                  co_await read_standing(transaction, target->keys, ReadMode::serializable));
    auto& header = standing.header;
    if (standing.has_collections() && !SEMPER_MUTANT("server_reset_keeps_entries")) {
      SEMPER_CO_TRY(const bool is_all, co_await clear_collections(transaction, target->keys));
      // Many entries are removed step by step, below an order.
      if (!is_all) co_return fail(ErrorKind::conflict, "it has many entries");
    }
    if (!header.has_state) co_return Status{};
    header.has_state = false;
    header.state.clear();
    header.chunks = 0;
    header.state_bytes = 0;
    transaction.clear_range(target->keys.chunks());
    transaction.clear(target->keys.parked());
    if (header.lock && !SEMPER_MUTANT("server_lock_undoes_a_reset")) {
      take_lock(transaction, target->keys, header);
    }
    transaction.set_versionstamped_value(target->keys.header(), header.encode(), 0);
    co_return Status{};
  };
  const TransactOptions few{.max_attempts = kResetAttempts};
  auto done = co_await target->store().transact(at_once, few);
  if (done || done.error().kind() != ErrorKind::conflict) {
    if (!done) co_return fail(done.error().in(target->id.to_string()));
    co_return Status{};
  }
  SEMPER_CO_TRY_STATUS(co_await target->store().transact(
      [&](Transaction& transaction) { return order_reset(transaction, *target); }));
  const auto removed = co_await remove_entries_of_reset(*target, kRemovals);
  if (!removed) {
    co_return fail(removed.error().in(target->id.to_string() +
                                      " is reset, but what its collections held is not all removed "
                                      "(its next message does that)"));
  }
  co_return Status{};
}

Async<void> unlock(std::shared_ptr<const Target> target) {
  if (!target->valid) co_return fail(target->valid.error());
  const auto& keys = target->keys;
  std::uint64_t nonce = 0;
  const auto look = [&](Transaction& transaction, ReadMode mode) -> Async<Header> {
    auto standing = co_await read_standing(transaction, keys, mode);
    if (!standing) co_return fail(standing.error().in(target->id.to_string()));
    if (!standing->header.lock) {
      co_return fail(ErrorKind::not_found, target->id.to_string() + " is not locked");
    }
    nonce = standing->header.lock->nonce;
    co_return std::move(standing->header);
  };
  const auto at_once = [&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY(auto header, co_await look(transaction, ReadMode::serializable));
    take_lock(transaction, keys, header);
    transaction.set_versionstamped_value(keys.header(), header.encode(), 0);
    co_return Status{};
  };
  const TransactOptions few{.max_attempts = kResetAttempts};
  auto done = co_await target->store().transact(at_once, few);
  if (done || done.error().kind() != ErrorKind::conflict) co_return done;
  // Somebody writes the entity all the time.
  const auto by_order = [&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY_STATUS(co_await look(transaction, ReadMode::snapshot));
    SEMPER_CO_TRY_STATUS(co_await order_unlock(transaction, *target, nonce));
    co_return Status{};
  };
  co_return co_await target->store().transact(by_order);
}

Async<KeyedReply<Bytes>> result_of(std::shared_ptr<const Target> target, std::string message,
                                   std::string key) {
  if (!target->valid) co_return fail(target->valid.error());
  SEMPER_CO_TRY_STATUS(check_key_text(key));
  const KeyAddress address{target->id, std::move(message), std::move(key)};
  const std::int64_t now = to_timer_ms(target->store().env().clock->wall_time());
  KeyedReply<Bytes> result;
  const auto look = [&](Transaction& transaction) -> Async<void> {
    result = {};
    KeyBook book;
    const KeyBook::Place place{transaction, transaction, target->tenant.prefix()};
    SEMPER_CO_TRY_STATUS(co_await book.look(place, address, KeyBook::Loaded::no));
    const KeyRecord* const known = book.find(address, now);
    if (known == nullptr) co_return Status{};
    result.state = KeyedReply<Bytes>::State::pending;
    if (!known->is_done()) co_return Status{};
    result.state = KeyedReply<Bytes>::State::done;
    result.kept_until = timer_time(known->expires_ms);
    SEMPER_CO_TRY(result.reply, decode_reply(known->reply));
    co_return Status{};
  };
  SEMPER_CO_TRY_STATUS(co_await target->store().transact(look));
  co_return result;
}

Async<std::uint64_t> queue_length(std::shared_ptr<const Target> target) {
  if (!target->valid) co_return fail(target->valid.error());
  co_return co_await target->store().transact(
      [&](Transaction& transaction) -> Async<std::uint64_t> {
        const auto mode = ReadMode::snapshot;
        auto standing = co_await read_standing(transaction, target->keys, mode);
        if (!standing) co_return fail(standing.error().in(target->id.to_string()));
        SEMPER_CO_TRY(const auto pushed, co_await transaction.get(target->keys.pushed(), mode));
        co_return count_waiting(pushed, standing->header.popped);
      });
}

}  // namespace semper::internal
