// The idempotency keys of delayed casts whose timers were cancelled: they are forgotten with the
// commit that cancels them, as if the casts had not been sent.
#pragma once

#include "semper/server/entity_id.h"
#include "server/format/key_book.h"
#include "server/format/timer_book.h"

namespace semper::internal {

// Of timers of this entity, which is loaded; after TimerBook::settle(). The book is settled by the
// caller.
Async<void> forget_cancelled(TimerBook& timers, KeyBook& keys, KeyBook::Place place,
                             const EntityId& id);
// The same, where nothing else is done to keys of these messages: with a book of its own.
Async<void> forget_cancelled(TimerBook& timers, KeyBook::Place place, const EntityId& id);
// Of one timer, by somebody who has not loaded the entity.
Async<void> forget_cancelled(const TimerSpec& timer, KeyBook::Place place, const EntityId& id);

}  // namespace semper::internal
