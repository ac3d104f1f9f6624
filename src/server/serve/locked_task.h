// LockedTask: an entity's lock, from this process's side: holding it, or waiting for its holder.
//
// A callback that returned `lock` has committed a lock record with a nonce of its own. Its host
// runs handle_locked outside any transaction, on a thread that it may block, and renews the lock by
// a counter, on another one; the result is written back in a transaction that reads the record, so
// it is refused where the nonce is no longer its own. Whatever else the store answers, it is
// written again, and the lock renewed, until it is there or the lock is gone. Hosts that find the
// entity locked watch record and counter; where neither was seen to change for the holder's lease
// (lease.h), the watcher takes the lock over with a new nonce, and runs handle_locked with the same
// message and the state of the lock's commit. No clock is compared between machines.
//
// Each holder that stopped renewing is counted beside the renewals, one that left in order (its
// host was stopped) is not. Waiting for a holder, and taking over: lock_watch.h; writing the
// result: lock_release.h.
//
// Bounds: HostOptions::locked_threads run handle_locked.
#pragma once

#include <memory>
#include <optional>

#include "semper/base/stop.h"
#include "semper/env/one_shot.h"
#include "server/format/target.h"
#include "server/serve/held_lock.h"
#include "server/serve/served_behaviour.h"

namespace semper::internal {

struct LockedResult;

class LockedTask : public std::enable_shared_from_this<LockedTask> {
 public:
  LockedTask(std::shared_ptr<const ServedBehaviour> served, std::shared_ptr<const Target> target);

  // Holds the lock, or, without one held, waits for its holder. Returns when the lock is gone, or
  // the host stops. Made as a shared_ptr, run once, inside the host's gate.
  Task<void> run(std::optional<HeldLock> held);

 private:
  struct Renewal;
  class Answer;

  Task<void> leave_or_say(const HeldLock& held);
  Task<void> give_up_turn(const HeldLock& held, const Error& why);
  Async<void> hold(const HeldLock& held);
  Task<LockedResult> handle_elsewhere(const HeldLock& held, StopToken lost);
  static Task<void> run_callback(std::shared_ptr<LockedTask> self, HeldLock held, StopToken lost,
                                 OneShot<LockedResult> done);
  Async<Handled> handle(const HeldLock& held, std::shared_ptr<void>& state, LockedSends& sends,
                        StopToken lost);
  static Task<void> renew(std::shared_ptr<LockedTask> self, std::uint64_t nonce,
                          std::uint64_t vanished, std::shared_ptr<Renewal> renewal);
  static Task<void> end_with_lease(std::shared_ptr<LockedTask> self,
                                   std::shared_ptr<Renewal> renewal);

  const std::shared_ptr<const ServedBehaviour> served_;
  HostCore& core_;
  const std::shared_ptr<const Target> target_;
  // Of what the run under way, or the last one, sends.
  std::shared_ptr<const MessageTrace> trace_;
};

}  // namespace semper::internal
