// AtomicallyOptions: how long atomically() waits for its turn, and for whom.
//
// What for: entities that are locked for a long time, or whose queue must be overtaken. When not:
// the defaults suit nearly every program.
//
//   semper::AtomicallyOptions patient;
//   patient.timeout = std::chrono::minutes(1);
//   auto done = co_await semper::atomically(store, std::tuple(ann, ben), move, patient);
//
// Threads: values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "semper/base/time.h"

namespace semper {

// The maximum number of entities of one atomically().
inline constexpr std::size_t kAtomicallyEntities = 64;
// Consecutive conflicts after which it asks the hosts of its entities to let it pass.
inline constexpr int kAtomicallyConflicts = 5;

struct AtomicallyOptions {
  // Time from the call to the start of the last attempt, including waiting; then `timeout`, and
  // nothing is changed. Make it longer than the locks of its entities last.
  Duration timeout = std::chrono::seconds(5);

  // `overtakes`: like a priority message, it does not wait for queued messages. It always waits for
  // locks, because changes during a lock are lost. For emergencies. Default: it waits.
  enum class Queue : std::uint8_t { waits, overtakes };
  Queue queue = Queue::waits;
};

}  // namespace semper
