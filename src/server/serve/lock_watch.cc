#include "server/serve/lock_watch.h"

#include <chrono>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "semper/base/log.h"
#include "server/format/lease.h"
#include "server/serve/entity.h"
#include "server/serve/lock_release.h"
#include "server/serve/waiting.h"

namespace semper::internal {

// Returns when the lock is gone (nothing), or was taken over.
Async<std::optional<HeldLock>> LockWatch::wait() {
  const auto& keys = target_->keys;
  // Of holders that do not say theirs: hosts of 0.1.0.
  const Duration unsaid = std::max(core_.options.lock_lease, HostOptions().lock_lease);
  std::optional<std::pair<std::uint64_t, std::uint64_t>> last;
  Attention attention;
  Duration unchanged_since{};
  while (!core_.stopping.stop_requested()) {
    Transaction transaction = core_.store().begin();
    SEMPER_CO_TRY(const auto standing,
                  co_await read_standing(transaction, keys, ReadMode::serializable));
    const Header& header = standing.header;
    if (!header.lock) co_return std::nullopt;
    SEMPER_CO_TRY(const auto row, co_await transaction.get(keys.lock_renewal()));
    const auto renewal = LockRenewal::decode(row);
    const Duration lease = renewal.lease.value_or(unsaid);
    const std::pair seen{header.lock->nonce, renewal.renewals};
    const Duration now = attention.look(core_.clock().now(), step_maximum(look_interval(lease)));
    if (last != seen) {
      last = seen;
      unchanged_since = now;
    }
    Duration idle = now - unchanged_since;
    if (SEMPER_MUTANT("server_lease_by_the_calendar")) {
      idle = core_.clock().wall_time().time_since_epoch() -
             std::chrono::milliseconds(header.lock->acquired_ms);
    }
    if (idle >= lease || renewal.is_left()) {
      auto held = co_await take_over(seen.first, renewal);
      if (held || held.error().kind() != ErrorKind::conflict) co_return held;
      // It is looked at again, at a pace that leaves the loop to others.
      co_await wait_for_news(core_, nullptr, {}, kLookIntervalMinimum);
      continue;
    }
    SEMPER_CO_TRY(auto watch, co_await transaction.watch(keys.header()));
    if (SEMPER_MUTANT("server_stop_waits_for_anothers_lock")) {
      static_cast<void>(co_await watch->changed(core_.clock().after(look_interval(lease))));
      continue;
    }
    co_await wait_for_news(core_, std::move(watch), {}, look_interval(lease));
  }
  co_return std::nullopt;
}

// Makes the lock of this nonce ours. Error: conflict where it changed meanwhile.
Async<std::optional<HeldLock>> LockWatch::take_over(std::uint64_t nonce, const LockRenewal& last) {
  Entity entity(target_);
  Transaction transaction = core_.store().begin();
  SEMPER_CO_TRY_STATUS(co_await entity.load(transaction, served_.behaviour(), 1));
  auto& header = entity.header();
  const bool has_message = !entity.segments().empty();
  const bool is_changed = !header.lock || header.lock->nonce != nonce;
  if (is_changed || (!has_message && SEMPER_MUTANT("server_lock_without_a_message_is_kept"))) {
    co_return fail(ErrorKind::conflict, "the lock has changed");
  }
  if (!has_message) {
    // A recording without its queue was restored, or something like that.
    log_warning("server", target_->id.to_string() + ": its lock is for no message, and is removed");
    SEMPER_CO_TRY_STATUS(co_await remove_lock(entity, transaction));
    co_return std::nullopt;
  }
  const auto& messages = entity.segments().front().messages;
  if (header.head_offset >= messages.size()) {
    co_return fail(ErrorKind::corrupt,
                   "the header's first message is number " + std::to_string(header.head_offset) +
                       " of a queue segment with " + std::to_string(messages.size()));
  }
  HeldLock held;
  held.message = messages[header.head_offset];
  held.vanished = last.vanished + (last.is_left() ? 0 : 1);
  if (held.vanished >= kLockHoldersVanished) {
    held.nonce = nonce;
    SEMPER_CO_TRY_STATUS(co_await set_aside(held));
    co_return std::nullopt;
  }
  held.nonce = core_.env().random->next();
  const std::string before = header.lock->owner;
  const auto now = core_.clock().wall_time().time_since_epoch();
  if (!entity.has_state()) {
    // It was reset meanwhile: the message is handled from its beginning.
    SEMPER_CO_TRY_STATUS(co_await remove_lock(entity, transaction));
    co_return std::nullopt;
  }
  header.lock = LockRecord{held.nonce, core_.name,
                           std::chrono::duration_cast<std::chrono::milliseconds>(now).count()};
  const LockRenewal first{1, core_.options.lock_lease, held.vanished};
  transaction.set(target_->keys.lock_renewal(), first.encode());
  SEMPER_CO_TRY_STATUS(entity.save(transaction, served_.behaviour()));
  SEMPER_CO_TRY(const auto stamp, co_await transaction.commit());
  entity.committed(stamp, false);
  held.encoded_state = entity.encoded();
  held.state_version = header.state_version;
  held.fencing_token = stamp.version();
  served_.counters().takeovers.add();
  log_warning("server", target_->id.to_string() + ": took the lock over from " + before +
                            (last.is_left() ? ", which was stopped" : ", which did not renew it"));
  co_return held;
}

Async<void> LockWatch::remove_lock(Entity& entity, Transaction& transaction) {
  entity.header().lock.reset();
  SEMPER_CO_TRY_STATUS(entity.save(transaction, served_.behaviour()));
  transaction.clear(target_->keys.lock_renewal());
  free_lock_place(served_, *target_, transaction);
  SEMPER_CO_TRY_STATUS(co_await transaction.commit());
  co_return Status{};
}

// The lock that nobody has held to the end: its message becomes a dead letter, its caller is told.
Async<void> LockWatch::set_aside(const HeldLock& held) {
  const std::string holders = std::to_string(held.vanished);
  const Error given_up =
      Error(ErrorKind::internal,
            "the processes that held its lock ended, or stopped renewing it, before "
            "handle_locked was done, " +
                holders + " in a row; what it does (memory, stack, abort) is in their logs")
          .in("after " + holders + " holders");
  LockRelease release(served_, target_, held, {held.vanished, 0}, nullptr);
  SEMPER_CO_TRY_STATUS(co_await release.set_aside(given_up));
  log_warning("server", target_->id.to_string() + ": " + held.message.content.name +
                            " was set aside: " + given_up.message());
  co_return Status{};
}

}  // namespace semper::internal
