// Peers: what is known about one store within this process.
//
// A Ref has only a store; through its Peers it finds the host of this process that serves its type,
// if there is one, and the outbox and sessions that it shares with all others of the tenant.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "semper/server/entity_id.h"

namespace semper::internal {

class Outbox;
class ServedType;
class Sessions;

class Peers {
 public:
  // Null where no host of this process serves the type.
  std::shared_ptr<ServedType> find_host(const Bytes& tenant_prefix, const std::string& type);
  // False: another behaviour of the same name is served already.
  bool add_host(const Bytes& tenant_prefix, const std::shared_ptr<ServedType>& served);
  void remove_host(const Bytes& tenant_prefix, const ServedType& served);

  // Owned by who asks for them, so that the store can close when its users are gone.
  struct Publishers {
    std::shared_ptr<Outbox> outbox;
    std::shared_ptr<Sessions> sessions;
  };
  Publishers publishers(const Tenant& tenant);

  static std::shared_ptr<Peers> of(const Store& store) { return store.attachment<Peers>(); }

 private:
  struct Served {
    Bytes tenant_prefix;
    std::weak_ptr<ServedType> type;
    std::string name;
  };
  struct Published {
    Bytes tenant_prefix;
    std::weak_ptr<Outbox> outbox;
    std::weak_ptr<Sessions> sessions;
  };

  // A process has few of each: looked through one by one.
  std::mutex mutex_;
  std::vector<Served> served_;
  std::vector<Published> published_;
};

}  // namespace semper::internal
