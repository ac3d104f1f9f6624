// Target: one entity of one tenant with its keys, made once per Ref and shared by everything that
// works on it.
#pragma once

#include <memory>

#include "keys.h"
#include "semper/server/entity_id.h"

namespace semper::internal {

class Outbox;
class Peers;
class Sessions;

struct Target {
  Target(Tenant of, EntityId entity);

  const Tenant tenant;
  const EntityId id;
  const Status valid;  // the tenant's or the id's error, which every use of the Ref returns
  const EntityKeys keys;

  // This process's own, shared by all Targets of the tenant; null where the tenant has no store.
  std::shared_ptr<Outbox> outbox;
  std::shared_ptr<Sessions> sessions;
  std::shared_ptr<Peers> peers;

  const Store& store() const { return *tenant.store(); }
};

}  // namespace semper::internal
