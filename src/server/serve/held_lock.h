// HeldLock: an entity's lock that this process holds, and what its holder does with it whatever
// becomes of the message.
#pragma once

#include <cstdint>

#include "server/format/records.h"
#include "server/format/target.h"
#include "server/serve/served_behaviour.h"

namespace semper::internal {

struct HeldLock {
  std::uint64_t nonce = 0;
  QueuedMessage message;  // the first of the queue
  Bytes encoded_state;
  std::uint32_t state_version = 1;
  std::uint64_t fencing_token = 0;  // version of the commit that took the lock
  std::uint64_t vanished = 0;       // holders before this one
};

// The host stops and the message is not handled: whoever comes need not wait for the lease.
Async<void> leave_lock(HostCore& core, const Target& target, const HeldLock& held);

// With the commit that gives the lock back: its place among those that the type's concurrency
// limits (throttle.h).
void free_lock_place(const ServedBehaviour& served, const Target& target, Transaction& transaction);

// A run of handle_locked has failed, the runs_th: it is counted, and logged.
void report_locked_run(const ServedBehaviour& served, const Target& target, const HeldLock& held,
                       std::uint64_t runs, FailedRun::Next next, Duration wait, const Error& error);

}  // namespace semper::internal
