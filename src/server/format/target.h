// Target: one entity of one tenant with its keys, made once per Ref and shared by everything that
// works on it.
#pragma once

#include "semper/server/entity_id.h"
#include "server/format/keys.h"

namespace semper::internal {

struct Target {
  Target(Tenant of, EntityId entity);
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  const Tenant tenant;
  const EntityId id;
  const Status valid;  // the tenant's or the id's error, which every use of the Ref returns
  const EntityKeys keys;

  const Store& store() const { return *tenant.store(); }
};

// Whether two handles are of the same store.
bool is_one_store(const Store& a, const Store& b);

}  // namespace semper::internal
