// FailsForGood: an additional interface for backends whose handles can fail permanently before they
// are closed.
//
// What for: code that works on a store for as long as the store lives (a Host) and must end when
// the store has failed for good: its file was deleted, or its disk has failed. When not: transient
// errors; the caller that gets one tries again. find_failure() finds a Backend that also implements
// this; nothing is known about other backends.
#pragma once

#include <optional>

#include "semper/base/result.h"
#include "semper/store/store.h"

namespace semper {

class FailsForGood {
 public:
  virtual ~FailsForGood() = default;
  // If this handle has failed for good, the error that every operation returns from now on. Cheap.
  // Any thread.
  virtual std::optional<Error> failure() const = 0;
};

inline std::optional<Error> find_failure(const Store& store) {
  const auto* backend = dynamic_cast<const FailsForGood*>(&store.backend());
  if (backend == nullptr) return std::nullopt;
  return backend->failure();
}

}  // namespace semper
