// Publishers: by what this process sends to one tenant of one store; all its Refs and hosts share them.
#pragma once

#include <memory>

#include "semper/server/entity_id.h"

namespace semper::internal {

class Outbox;
class Sessions;

struct Publishers {
  // Those of the tenant, made where there are none. They last as long as somebody has them, so that the
  // store can close when its users are gone. The tenant has a store.
  static Publishers of(const Tenant& tenant);

  std::shared_ptr<Outbox> outbox;
  std::shared_ptr<Sessions> sessions;
};

}  // namespace semper::internal
