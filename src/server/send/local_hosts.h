// LocalHosts: who runs entities of one store in this process, as those who send see it.
//
// A Ref has only a store; here it finds the host of this process that serves its type, if there is
// one, and hands it what would else go through the queue.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <typeindex>
#include <vector>

#include "semper/env/asio.h"
#include "semper/server/entity_id.h"

namespace semper::internal {

class Behaviour;
struct Operation;
struct Target;

// One type in one host.
class LocalServer {
 public:
  virtual ~LocalServer() = default;

  virtual const std::string& type() const = 0;
  // The C++ type behind that name.
  virtual std::type_index behaviour_type() const = 0;
  virtual std::shared_ptr<Behaviour> behaviour() = 0;

  // Whether calls and casts may be handed to it, past the queue.
  virtual bool takes_inline() const { return true; }

  // Runs the operation on this entity, on the caller's executor where nobody else is at it.
  virtual Status submit(const std::shared_ptr<const Target>& target, Operation&& operation,
                        const Executor& executor) = 0;
};

class LocalHosts {
 public:
  // Null where no host of this process serves the type.
  std::shared_ptr<LocalServer> find(const Bytes& tenant_prefix, const std::string& type);
  // False: another behaviour of the same name is served already.
  bool add(const Bytes& tenant_prefix, const std::shared_ptr<LocalServer>& server);
  void remove(const Bytes& tenant_prefix, const LocalServer& server);

 private:
  struct Entry {
    Bytes tenant_prefix;
    std::weak_ptr<LocalServer> server;
    std::string type;
  };

  // A process has few: looked through one by one.
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace semper::internal
