// EntityTurn: a runner's right to work on an entity, as the work that it does sees it (slot.h).
#pragma once

#include <memory>

#include "semper/env/asio.h"
#include "server/serve/permits.h"

namespace semper::internal {

class EntityTurn {
 public:
  // False: somebody else runs the entity by now, or nobody.
  virtual bool lasts() const = 0;

  // From here to Desk::leave_callbacks() nobody takes the turn away. False: it is over, no callback
  // may run.
  virtual bool enter_callbacks() = 0;

  // Waits, while priority messages that come are run: between attempts only. Returns at once where
  // the turn is over.
  virtual Async<void> pause(Duration duration) = 0;

  // Keeps the permit until what the runner does now, or the turn, ends.
  virtual void keep(std::shared_ptr<Permit> to_run_alone) = 0;

 protected:
  ~EntityTurn() = default;
};

}  // namespace semper::internal
