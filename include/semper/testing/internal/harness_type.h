// HarnessType: a behaviour with its type forgotten, as a Harness serves it; for harness.h alone.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "semper/server/host.h"
#include "semper/server/inspect.h"
#include "semper/testing/internal/harness_witness.h"

namespace semper::testing::internal {

struct HarnessType {
  std::string name;
  std::function<void(Host& host, std::shared_ptr<HarnessWitness> witness)> serve;
  std::function<Result<std::shared_ptr<void>>(BytesView state)> decode;
  std::vector<std::function<Status(const void* state)>> invariants;
};

// Whose process the scenario does something in.
enum class HarnessPlace : std::uint8_t { caller, host };
// What it does there.
using HarnessWork = std::function<Task<void>(Tenant)>;

// A message that was put into a queue.
struct HarnessSent {
  EntityId to;
  RawMessage message;
};

}  // namespace semper::testing::internal
