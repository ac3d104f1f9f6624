// Publishers: by what this process sends to one tenant of one store; all its Refs and hosts share
// them.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "semper/server/entity_id.h"

namespace semper::internal {

class Outbox;
class Relays;
class Sessions;

struct Publishers {
  std::shared_ptr<Outbox> outbox;
  std::shared_ptr<Sessions> sessions;
  std::shared_ptr<Relays> relays;
};

// Those of one store within this process.
class PublishersOfStore {
 public:
  // The tenant's, made where there are none. They last as long as somebody has them, so that the
  // store can close when its users are gone.
  Publishers of(const Tenant& tenant);

 private:
  struct Entry {
    Bytes tenant_prefix;
    std::weak_ptr<Outbox> outbox;
    std::weak_ptr<Sessions> sessions;
    std::weak_ptr<Relays> relays;
  };
  Entry& entry(const Bytes& tenant_prefix);

  // A process has few: looked through one by one.
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace semper::internal
