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
// host was stopped) is not. A message whose lock kLockHoldersVanished holders in a row did not
// survive is set aside unrun, and the lock given back: it may be what ends them.
//
// Bounds: HostOptions::locked_threads run handle_locked. A host that stops goes on to write a
// result for one lease at most.
#pragma once

#include <memory>
#include <optional>

#include "semper/env/one_shot.h"
#include "server/format/idempotency.h"
#include "server/format/lease.h"
#include "server/format/records.h"
#include "server/format/target.h"
#include "server/serve/served_behaviour.h"

namespace semper::internal {

class Entity;
struct AfterCommit;

// Holders of one lock that vanish before its message is set aside. More than
// HostOptions::message_attempts, because who holds a lock for hours meets restarts and outages that
// are none of its message's doing.
inline constexpr std::uint64_t kLockHoldersVanished = 10;

class LockedTask : public std::enable_shared_from_this<LockedTask> {
 public:
  // A lock that this process holds.
  struct Held {
    std::uint64_t nonce = 0;
    QueuedMessage message;  // the first of the queue
    Bytes encoded_state;
    std::uint32_t state_version = 1;
    std::uint64_t fencing_token = 0;  // version of the commit that took the lock
    std::uint64_t vanished = 0;       // holders before this one
  };

  LockedTask(std::shared_ptr<const ServedBehaviour> served, std::shared_ptr<const Target> target);

  // Holds the lock, or, without one held, waits for its holder. Returns when the lock is gone, or
  // the host stops. Made as a shared_ptr, run once, inside the host's gate.
  Task<void> run(std::optional<Held> held);

 private:
  struct Renewal;
  struct Finished;
  class Answer;
  // Nothing was written where the lock is gone; where the result is refused: it cannot be encoded,
  // or is more than the store takes; or where a queue that it sends to has no room.
  enum class Written : std::uint8_t { yes, lock_gone, refused, no_room };

  Async<std::optional<Held>> wait_for_holder();
  Async<std::optional<Held>> take_over(std::uint64_t nonce, const LockRenewal& last);
  // Commits the transaction.
  Async<void> remove_lock(Entity& entity, Transaction& transaction);
  // With the commit that gives the lock back.
  void free_place(Transaction& transaction) const;
  Async<void> set_aside(Held held);
  Async<void> leave(const Held& held);
  Task<void> leave_or_say(const Held& held);
  Task<void> give_up_turn(const Held& held, const Error& why);
  Async<void> hold(const Held& held);
  Async<Handled> handle_elsewhere(const Held& held, std::shared_ptr<void>& state,
                                  LockedSends& sends, std::stop_token lost);
  static Task<void> run_callback(std::shared_ptr<LockedTask> self, Held held, std::stop_token lost,
                                 OneShot<Finished> done);
  Async<Handled> handle(const Held& held, std::shared_ptr<void>& state, LockedSends& sends,
                        std::stop_token lost);
  static Task<void> renew(std::shared_ptr<LockedTask> self, std::uint64_t nonce,
                          std::uint64_t vanished, std::shared_ptr<Renewal> renewal);
  static Task<void> end_with_lease(std::shared_ptr<LockedTask> self,
                                   std::shared_ptr<Renewal> renewal);
  Async<void> release(const Held& held, Result<Handled> handled, std::shared_ptr<void> state,
                      LockedSends sends);
  Async<Written> try_release(const Held& held, const Result<Handled>& handled,
                             const std::shared_ptr<void>& state, const LockedSends& sends,
                             std::optional<Error>& why);
  // Into the transaction that writes the result. Error: of what cannot be sent.
  Status send(Transaction& transaction, const Held& held, const LockedSends& sends,
              CallbackSends& of_all);
  Async<void> settle_keys(Transaction& transaction, const Held& held, std::optional<Bytes>& reply,
                          KeyRecord::State state, const CallbackSends& asked);
  Async<void> end_tick(Transaction& transaction, const TickRecord& tick);
  Async<std::optional<Error>> give_up(const Held& held, const Error& reason,
                                      Transaction& transaction, Entity& entity,
                                      CallbackSends& sends, AfterCommit& after);
  // False: handle_dead_letter failed.
  bool bury(const Held& held, const Error& reason, Transaction& transaction, Entity& entity,
            CallbackSends& sends, AfterCommit& after);
  void finish(const Handled& handled, const void* state);
  // A run of it has failed, the runs_th.
  void failed(const Held& held, FailedRun::Next next, Duration wait, const Error& error) const;

  const std::shared_ptr<const ServedBehaviour> served_;
  HostCore& core_;
  const std::shared_ptr<const Target> target_;
  // Of the message, should it be set aside.
  std::uint64_t runs_ = 1;
  std::int64_t first_run_ms_ = 0;
  bool tells_ = true;  // its entity
  // Of what the run under way, or the last one, sends.
  std::shared_ptr<const MessageTrace> trace_;
};

}  // namespace semper::internal
