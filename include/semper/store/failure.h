// FailsForGood: what a backend says besides, whose handles can die before they are closed.
//
// What for: who works on a store for as long as it lives (a Host) and has to end when it does not any
// more: its file was deleted, its disk has failed. When not: errors that pass; whoever met one tries again.
// A Backend that implements it as well is found by find_failure(); of the others nothing is known.
#pragma once

#include <optional>

#include "semper/base/result.h"
#include "semper/store/store.h"

namespace semper {

class FailsForGood {
 public:
  virtual ~FailsForGood() = default;
  // The error that everything asked of this handle gives from now on, where that is so. Cheap. Any thread.
  virtual std::optional<Error> failure() const = 0;
};

inline std::optional<Error> find_failure(const Store& store) {
  const auto* backend = dynamic_cast<const FailsForGood*>(&store.backend());
  if (backend == nullptr) return std::nullopt;
  return backend->failure();
}

}  // namespace semper
