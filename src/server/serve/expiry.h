// Expiry: entities that nobody sends a message for as long as their type says (kExpireAfter) are
// removed.
//
// Each entity of such a type has a timer of the host's own, kExpiryTimer, due when its time is
// over. Messages put it off, but not each: only where it is due earlier than a whole period from
// now. It is set a sixteenth of the period late for that, so an entity that is busy writes it once
// in a sixteenth of its period, and none is removed too early. So there is no other record of the
// last message, and what fires it, on whatever host, is what fires all timers (due.h).
//
// Its tick comes through the entity's queue, never past it. What is behind it there, or waits in
// this process, has been sent meanwhile: the entity stays. So it does with dead letters, timers or
// idempotency keys that are kept, and where handle_expiry fails; it is asked again after another
// period. Else the commit that handles the tick gives the entity the order to be killed
// (orders.h): having claimed the queue as empty, it conflicts with whoever sends at the same time,
// and what is sent later is later than the order. What the entity held is removed after that, in
// bounded steps, by whichever host looks next, as of any entity that was killed.
//
// Types without kExpireAfter read and write none of this. Threads: those of what calls it.
#pragma once

#include <cstdint>
#include <optional>

#include "server/format/timer_book.h"
#include "server/serve/desk.h"
#include "server/serve/served_behaviour.h"

namespace semper::internal {

inline bool is_expiry(const QueuedMessage& message) {
  return message.tick && message.tick->timer == kExpiryTimer;
}

// To set the timer anew, unless it is due after the period anyway.
TimerRequest put_expiry_off(const ExpiryRules& rules, std::int64_t now_ms);

// The entity was sent a message: asks for that where it has to be, as far as is known here.
void note_activity(const ExpiryRules& rules, const Desk& desk, std::int64_t now_ms,
                   CallbackSends& sends);
// What was asked has been committed. `was_known`: when it began.
void learn_expiry(Desk& desk, const TimerBook& timers, bool was_known);
// Whether the desk knows when its entity expires.
bool knows_expiry(const Desk& desk);

// Nothing that the entity holds keeps it. A conflict where that changes.
Async<bool> may_expire(Transaction& transaction, const EntityKeys& keys, const ExpiryRules& rules);

}  // namespace semper::internal
