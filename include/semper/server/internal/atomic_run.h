// AtomicRun: one atomically() (server/atomically.h), its states without their types.
//
//   begin()   waits until it is its turn, and reads the states
//   ...       the function runs on states()
//   finish()  writes and commits. False: begin anew.
#pragma once

#include <memory>
#include <span>
#include <typeindex>
#include <vector>

#include "semper/env/asio.h"
#include "semper/server/atomically_options.h"
#include "semper/server/entity_id.h"
#include "semper/server/message.h"
#include "semper/store/transaction.h"

namespace semper {

class RawRef;

namespace internal {

class Behaviour;

struct AtomicPart {
  Tenant tenant;
  EntityId id;
  std::type_index behaviour_type;
  // For init, upgrade and the codec, where no host here has one; null where it cannot be made.
  std::shared_ptr<Behaviour> (*make_behaviour)();
};

class AtomicRun {
 public:
  virtual ~AtomicRun() = default;

  // Errors of the arguments come from begin().
  static std::shared_ptr<AtomicRun> make(Tenant tenant, std::vector<AtomicPart> parts,
                                         const AtomicallyOptions& options);

  virtual Async<void> begin() = 0;
  virtual std::span<void* const> states() = 0;
  virtual Transaction& transaction() = 0;
  virtual WallTime now() = 0;
  virtual void send(const RawRef& to, RawMessage message) = 0;

  // Runs the function, no longer than a transaction lasts. Error: it was cancelled for that.
  virtual Async<void> within_time(Task<void> function) = 0;
  // `ended`: the function's own. True: committed. False: run it again. Error: nothing was applied.
  virtual Async<bool> finish(Status ended) = 0;
  // Instead, where the function threw.
  virtual Task<void> give_up() = 0;
};

}  // namespace internal
}  // namespace semper
