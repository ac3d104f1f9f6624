#include "entities/chain.h"

#include <algorithm>
#include <utility>

#include "semper/server/inspect.h"
#include "semper/server/list_loads.h"

namespace semper::cli {

Async<std::vector<EntityId>> find_chain(Tenant tenant, EntityId from) {
  std::vector<EntityId> longest;
  SEMPER_CO_TRY(const auto types, co_await list_types(tenant));
  for (const auto& type : types) {
    LoadListOptions options;
    options.limit = kChainEntities;
    SEMPER_CO_TRY(const auto page, co_await list_loads(tenant, type.type, std::move(options)));
    for (const auto& load : page.entities) {
      auto queue = co_await peek_queue(tenant, load.id, kChainMessages);
      if (!queue) continue;  // it is gone by now, or cannot be read: as none
      for (const auto& message : *queue) {
        const auto& callers = message.callers;
        const auto place = std::find(callers.begin(), callers.end(), from);
        const auto length = static_cast<std::size_t>(callers.end() - place) + 1;
        if (place == callers.end() || length <= longest.size()) continue;
        longest.assign(place, callers.end());
        longest.push_back(load.id);
      }
    }
  }
  co_return longest;
}

}  // namespace semper::cli
