// Chains of calls: which entity a callback of another one waits for.
#pragma once

#include <cstddef>
#include <vector>

#include "semper/server/entity_id.h"

namespace semper::cli {

// Where a chain is looked for: entities with work of each type, and messages of each of them.
inline constexpr std::size_t kChainEntities = 200;
inline constexpr std::size_t kChainMessages = 20;

// The chain that begins with this entity: those that wait for each other, and at the end the one
// whose queue holds the call. The longest one; empty: none was found. A call that runs without the
// queue is in none.
Async<std::vector<EntityId>> find_chain(Tenant tenant, EntityId from);

}  // namespace semper::cli
