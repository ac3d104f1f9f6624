// A priority message: run at once, past queue, mailbox and lock, in a transaction of its own.
#pragma once

#include <memory>

#include "desk.h"
#include "entity_turn.h"
#include "operation.h"
#include "served_behaviour.h"

namespace semper::internal {

// Runs it and answers it. False: the turn was lost before it was run.
Task<bool> run_priority(const ServedBehaviour& served, const Target& target, Desk& desk,
                        EntityTurn& turn, Operation& operation);

}  // namespace semper::internal
