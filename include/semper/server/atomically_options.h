// AtomicallyOptions: how long atomically() waits for its turn, and for whom.
//
// What for: entities that are locked for long, or whose queue must be overtaken. When not: the defaults do for
// nearly everybody.
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

// Of one atomically().
inline constexpr std::size_t kAtomicallyEntities = 64;
// Conflicts in a row after which it asks the hosts of its entities to let it by.
inline constexpr int kAtomicallyConflicts = 5;

struct AtomicallyOptions {
  // From the call to the last attempt's start, waiting included; then `timeout`, and nothing was changed.
  // Raise it above what locks of its entities last.
  Duration timeout = std::chrono::seconds(5);

  // `overtakes`: it does not wait for queued messages, as a priority message does not; but always for
  // locks, because what is written beside one is lost. For emergencies. Default: it waits.
  enum class Queue : std::uint8_t { waits, overtakes };
  Queue queue = Queue::waits;
};

}  // namespace semper
