// LockWatch: waits for the holder of an entity's lock, and takes the lock over where nobody renews
// it.
//
// Record and counter of the lock are watched; where neither was seen to change for the holder's
// lease (lease.h), it is taken over with a new nonce. No clock is compared between machines. A
// message whose lock kLockHoldersVanished holders in a row did not survive is set aside unrun, and
// the lock given back: it may be what ends them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "server/format/records.h"
#include "server/format/target.h"
#include "server/serve/held_lock.h"
#include "server/serve/served_behaviour.h"

namespace semper::internal {

class Entity;

// Holders of one lock that vanish before its message is set aside. More than
// HostOptions::message_attempts, because who holds a lock for hours meets restarts and outages that
// are none of its message's doing.
inline constexpr std::uint64_t kLockHoldersVanished = 10;

class LockWatch {
 public:
  // `served` outlives it.
  LockWatch(const ServedBehaviour& served, std::shared_ptr<const Target> target)
      : served_(served), core_(served.core()), target_(std::move(target)) {}

  // Returns when the lock is gone, or the host stops (nothing), or when it was taken over.
  Async<std::optional<HeldLock>> wait();

 private:
  Async<std::optional<HeldLock>> take_over(std::uint64_t nonce, const LockRenewal& last);
  // Commits the transaction.
  Async<void> remove_lock(Entity& entity, Transaction& transaction);
  Async<void> set_aside(const HeldLock& held);

  const ServedBehaviour& served_;
  HostCore& core_;
  const std::shared_ptr<const Target> target_;
};

}  // namespace semper::internal
