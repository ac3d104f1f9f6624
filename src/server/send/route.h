// Route: an entity, and the ways by which this process reaches it. Made once per Ref.
#pragma once

#include <memory>
#include <utility>

#include "server/format/target.h"
#include "server/send/store_in_process.h"

namespace semper::internal {

struct Route {
  Route(Tenant tenant, EntityId id) : target(std::move(tenant), std::move(id)) {
    if (!target.tenant.store()) return;
    here = StoreInProcess::of(target.store());
    if (here->fork.is_foreign()) return;
    publishers = here->publishers.of(target.tenant);
  }

  // Why it cannot be used: the tenant's or the id's error, or a fork.
  Status usable() const {
    if (!target.valid) return target.valid;
    return here->fork.check("this store");
  }

  const Target target;
  // Null where the tenant has no store.
  std::shared_ptr<StoreInProcess> here;
  Publishers publishers;  // and in a forked child of who opened it

  // Null where no host of this process serves the type.
  std::shared_ptr<LocalServer> local_server() const {
    return here->hosts.find(target.tenant.prefix(), target.id.type);
  }
  // The same, or where all of its calls and casts go through the queue.
  std::shared_ptr<LocalServer> inline_server() const {
    auto server = local_server();
    if (server && !server->takes_inline()) return nullptr;
    return server;
  }
};

// Keeps the whole route.
inline std::shared_ptr<const Target> target_of(const std::shared_ptr<const Route>& route) {
  return {route, &route->target};
}

}  // namespace semper::internal
