// LockedTask: an entity's lock, from this process's side: holding it, or waiting for its holder.
//
// A callback that returned `lock` has committed a lock record with a nonce of its own. Its host
// runs handle_locked outside any transaction, on a thread that it may block, and renews the lock by a
// counter, on another one; the result is written back in a transaction that reads the record, so it is
// refused where the nonce is no longer its own. Whatever else the store answers, it is written again,
// and the lock renewed, until it is there or the lock is gone. Hosts that find the entity locked watch
// record and counter; where neither was seen to change for the holder's lease (lease.h), the watcher
// takes the lock over with a new nonce, and runs handle_locked with the same message and the state of
// the lock's commit. No clock is compared between machines.
//
// Each holder that stopped renewing is counted beside the renewals, one that left in order (its host was
// stopped) is not. A message whose lock kLockHoldersVanished holders in a row did not survive is set aside
// unrun, and the lock given back: it may be what ends them.
//
// Bounds: HostOptions::locked_threads run handle_locked. A host that stops goes on to write a result for
// one lease at most.
#pragma once

#include <memory>
#include <optional>

#include "records.h"
#include "semper/env/one_shot.h"
#include "semper/server/behaviour.h"

namespace semper::internal {

// Holders of one lock that vanish before its message is set aside. More than HostOptions::message_attempts,
// because who holds a lock for hours meets restarts and outages that are none of its message's doing.
inline constexpr std::uint64_t kLockHoldersVanished = 10;

class Slot;
class Entity;
struct LockRenewal;

class LockedTask {
 public:
  // A lock that this process holds.
  struct Held {
    std::uint64_t nonce = 0;
    QueuedMessage message;  // the first of the queue
    Bytes encoded_state;
    std::uint64_t fencing_token = 0;  // version of the commit that took the lock
    std::uint64_t vanished = 0;       // holders before this one
  };

  // Starts to hold the lock, or, without one held, to wait for its holder, unless this process does
  // so already. When the lock is gone the slot is told to look at its queue.
  static void attend(const std::shared_ptr<Slot>& slot, std::optional<Held> held);

 private:
  struct Renewal;
  struct Finished;
  class Attending;
  class Answer;
  // Nothing was written where the lock is gone, or where the result is refused: it can not be encoded,
  // or is more than the store takes.
  enum class Written : std::uint8_t { yes, lock_gone, refused };

  static Task<void> run(std::shared_ptr<Slot> slot, std::optional<Held> held);
  static Async<std::optional<Held>> wait_for_holder(Slot& slot);
  static Async<std::optional<Held>> take_over(Slot& slot, std::uint64_t nonce,
                                              const LockRenewal& last);
  static Async<void> set_aside(Slot& slot, Held held);
  static Async<void> leave(const Slot& slot, const Held& held);
  static Async<void> hold(const std::shared_ptr<Slot>& slot, const Held& held);
  static Async<Handled> handle_elsewhere(const std::shared_ptr<Slot>& slot, const Held& held,
                                         std::shared_ptr<void>& state, std::stop_token lost);
  static Task<void> run_callback(std::shared_ptr<Slot> slot, Held held, std::stop_token lost,
                                 OneShot<Finished> done);
  static Async<Handled> handle(Slot& slot, const Held& held, std::shared_ptr<void>& state,
                               std::stop_token lost);
  static Task<void> renew(std::shared_ptr<Slot> slot, std::uint64_t nonce, std::uint64_t vanished,
                          std::shared_ptr<Renewal> renewal);
  static Async<void> release(Slot& slot, const Held& held, Result<Handled> handled,
                             std::shared_ptr<void> state);
  static Async<Written> try_release(Slot& slot, const Held& held, const Result<Handled>& handled,
                                    const std::shared_ptr<void>& state,
                                    std::optional<Error>& why);
  static void finish(Slot& slot, const Handled& handled, void* state);
};

}  // namespace semper::internal
