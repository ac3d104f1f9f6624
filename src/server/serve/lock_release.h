// LockRelease: writes what came of a message that was handled under its entity's lock, and gives
// the lock back, in one transaction.
//
// The transaction reads the record of the lock, so it is refused where the nonce is no longer its
// holder's. Whatever else the store answers, it is written again until it is there or the lock is
// gone. A result that cannot be written at all makes the message a dead letter.
//
// Bounds: a host that stops goes on to write a result for one lease at most. Threads: one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "server/format/idempotency.h"
#include "server/format/records.h"
#include "server/format/target.h"
#include "server/serve/held_lock.h"
#include "server/serve/served_behaviour.h"

namespace semper::internal {

class Entity;
struct AfterCommit;

// What handle_locked made.
struct LockedResult {
  Result<Handled> handled;
  std::shared_ptr<void> state = nullptr;
  LockedSends sends = {};
};

class LockRelease {
 public:
  // Runs of the message so far, should it be set aside.
  struct Runs {
    std::uint64_t count = 1;
    std::int64_t first_ms = 0;
  };

  // `served` and `held` outlive it. `trace`: of what the run sent.
  LockRelease(const ServedBehaviour& served, std::shared_ptr<const Target> target,
              const HeldLock& held, Runs runs, std::shared_ptr<const MessageTrace> trace);

  // Errors: closed (the lock is gone, and nothing was written, or an unknown outcome was), those
  // that end the host.
  Async<void> write(LockedResult made);

  // Makes the message a dead letter without telling its entity. Error: conflict (the lock has
  // changed).
  Async<void> set_aside(const Error& reason);

 private:
  // Nothing was written where the lock is gone; where the result is refused: it cannot be encoded,
  // or is more than the store takes; or where a queue that it sends to has no room.
  enum class Written : std::uint8_t { yes, lock_gone, refused, no_room };

  Async<Written> attempt(const LockedResult& made, std::optional<Error>& why);
  // Commits the transaction.
  Async<void> give_back_unhandled(Entity& entity, Transaction& transaction);
  void pop_message(Entity& entity, Transaction& transaction) const;
  std::optional<Error> check_write(const Status& sent, Entity& entity,
                                   Transaction& transaction) const;
  Error without_callback(const Error& why);
  // Into the transaction that writes the result. Error: of what cannot be sent.
  Status send(Transaction& transaction, const LockedSends& sends, CallbackSends& of_all);
  Async<void> answer(Transaction& transaction, bool is_handled, std::optional<Bytes>& reply,
                     const CallbackSends& asked);
  Async<void> settle_keys(Transaction& transaction, std::optional<Bytes>& reply,
                          KeyRecord::State state, const CallbackSends& asked);
  Async<void> end_tick(Transaction& transaction, const TickRecord& tick);
  Async<std::optional<Error>> give_up(const Error& reason, Transaction& transaction, Entity& entity,
                                      CallbackSends& sends, AfterCommit& after);
  // False: handle_dead_letter failed.
  bool write_letter(const Error& reason, Transaction& transaction, Entity& entity,
                    CallbackSends& sends, AfterCommit& after);
  void finish(const LockedResult& made) const;

  const ServedBehaviour& served_;
  HostCore& core_;
  const std::shared_ptr<const Target> target_;
  const HeldLock& held_;
  const Runs runs_;
  const std::shared_ptr<const MessageTrace> trace_;
  bool tells_ = true;  // its entity
};

}  // namespace semper::internal
