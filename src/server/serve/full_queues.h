// Full queues: the bound of an entity's queue (kQueueMessagesMaximum), as callbacks are held to it.
#pragma once

#include <cstdint>
#include <optional>

#include "semper/env/asio.h"
#include "semper/server/internal/context_fields.h"
#include "semper/store/transaction.h"
#include "server/format/target.h"
#include "server/serve/host_core.h"

namespace semper::internal {

// The queue that has no room for what was sent in this transaction, if there is one. `left`:
// messages in the entity's own queue without those that this transaction takes, and those that it
// sends there.
Async<std::optional<EntityId>> find_full_queue(HostCore& core, const Target& target,
                                               Transaction& transaction, const CallbackSends& sends,
                                               std::uint64_t left);

// What the sender's message fails with. Another try may find room.
Error queue_is_full(const EntityId& full);

}  // namespace semper::internal
