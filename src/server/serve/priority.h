// A priority message: run at once, past queue, mailbox and lock, in a transaction of its own.
#pragma once

#include <memory>

#include "server/send/operation.h"
#include "server/serve/desk.h"
#include "server/serve/entity_turn.h"
#include "server/serve/served_behaviour.h"

namespace semper::internal {

// Runs it and answers it. False: the turn was lost before it was run.
Task<bool> run_priority(const ServedBehaviour& served, const Target& target, Desk& desk,
                        EntityTurn& turn, Operation& operation);

}  // namespace semper::internal
