// ServedBehaviour: one behaviour in one host, as everything that works on its entities uses it.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "semper/server/internal/behaviour.h"
#include "server/serve/host_core.h"

namespace semper::internal {

class ServedBehaviour {
 public:
  ServedBehaviour(std::shared_ptr<HostCore> core, std::shared_ptr<Behaviour> behaviour,
                  ServeOptions options)
      : core_(std::move(core)),
        behaviour_(std::move(behaviour)),
        options_(options),
        type_(behaviour_->type()) {}

  HostCore& core() const { return *core_; }
  Behaviour& behaviour() const { return *behaviour_; }
  const std::string& type() const { return type_; }
  // Whether this host takes what others enqueue.
  bool consumes() const { return options_.consume == ServeOptions::Consume::yes; }

 private:
  const std::shared_ptr<HostCore> core_;
  const std::shared_ptr<Behaviour> behaviour_;
  const ServeOptions options_;
  const std::string type_;
};

}  // namespace semper::internal
