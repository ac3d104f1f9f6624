// PassedNeighbours: for backends that wrap another one, and pass Neighbours on to it.
//
// Where that one has none, nobody listens, and nobody can.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "semper/store/backend.h"
#include "semper/store/neighbours.h"

namespace semper::internal {

class PassedNeighbours : public Neighbours {
 public:
  Result<std::unique_ptr<Listening>> listen(std::string topic, Accept accept) override {
    if (auto* inner = inner_neighbours()) return inner->listen(std::move(topic), std::move(accept));
    return fail(ErrorKind::unsupported, "processes of this store cannot talk to each other");
  }
  bool has_listener(std::string_view topic) const override {
    const auto* inner = inner_neighbours();
    return inner != nullptr && inner->has_listener(topic);
  }
  Result<std::shared_ptr<NeighbourLink>> connect(
      std::string topic, std::shared_ptr<NeighbourReceiver> receiver) override {
    if (auto* inner = inner_neighbours()) {
      return inner->connect(std::move(topic), std::move(receiver));
    }
    return fail(ErrorKind::not_found, "processes of this store cannot talk to each other");
  }

 protected:
  virtual Neighbours* inner_neighbours() const = 0;
};

}  // namespace semper::internal
