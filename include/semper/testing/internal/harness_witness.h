// HarnessWitness: who is told what the callbacks of a behaviour do; for harness.h alone.
#pragma once

#include <string>
#include <string_view>

#include "semper/base/bytes.h"
#include "semper/env/clock.h"
#include "semper/server/entity_id.h"

namespace semper::testing::internal {

class HarnessWitness {
 public:
  virtual ~HarnessWitness() = default;

  // A callback that is a part of a transaction; ends with callback_ended on the same thread,
  // without anything else in between. `content`: one CBOR item.
  virtual void callback_begins(const EntityId& id, std::string_view callback,
                               std::string_view message, BytesView content) = 0;
  // `state`: what it left, null where it threw.
  virtual void callback_ended(const EntityId& id, const std::string& outcome,
                              const void* state) = 0;
  // handle_locked: others run while it waits.
  virtual void locked_begins(const EntityId& id, std::string_view message, BytesView content) = 0;
  virtual void locked_ended(const EntityId& id, std::string_view message,
                            const std::string& outcome, const void* state) = 0;
  virtual void action_begins(const EntityId& id, std::string_view message, BytesView state) = 0;
  virtual void terminated(std::string_view type, const std::string& reason) = 0;

  // A sentence about the behaviour, shown once.
  virtual void remark(const std::string& sentence) = 0;
  // A clock whose timers are points of the enumeration.
  virtual Clock& locked_clock() = 0;
};

}  // namespace semper::testing::internal
