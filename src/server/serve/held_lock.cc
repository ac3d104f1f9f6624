#include "server/serve/held_lock.h"

#include "server/format/limit_rows.h"
#include "server/format/orders.h"

namespace semper::internal {

Async<void> leave_lock(HostCore& core, const Target& target, const HeldLock& held) {
  const auto& keys = target.keys;
  co_return co_await core.store().transact([&](Transaction& transaction) -> Async<void> {
    SEMPER_CO_TRY(const auto standing,
                  co_await read_standing(transaction, keys, ReadMode::serializable));
    const auto& lock = standing.header.lock;
    if (!lock || lock->nonce != held.nonce) co_return Status{};
    const LockRenewal left{0, core.options.lock_lease, held.vanished};
    transaction.set(keys.lock_renewal(), left.encode());
    co_return Status{};
  });
}

void free_lock_place(const ServedBehaviour& served, const Target& target,
                     Transaction& transaction) {
  if (!served.has_places()) return;
  served.throttle()->free_place(transaction, target);
}

void report_locked_run(const ServedBehaviour& served, const Target& target, const HeldLock& held,
                       std::uint64_t runs, FailedRun::Next next, Duration wait,
                       const Error& error) {
  FailedRun run;
  run.message = held.message.content.name;
  run.event = held.message.event;
  run.how = FailedRun::How::locked;
  run.attempt = runs;
  run.of = served.message_attempts();
  run.next = next;
  run.wait = wait;
  served.failed(target.id, run, error);
}

}  // namespace semper::internal
