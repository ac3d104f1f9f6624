// Idempotency markers of finished commits, to be removed along with later ones
// (src/store/marker.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/time.h"

namespace semper::internal {

struct MarkerLedger {
  static constexpr std::size_t kCapacity = 4096;
  std::mutex mutex;
  std::vector<Bytes> done;
  // Versions of the store, and when this process saw them by its monotonic clock; oldest first.
  struct Sighting {
    std::uint64_t version = 0;
    MonotonicTime at{};
  };
  std::deque<Sighting> seen;
};

// The ledger of a backend in this process.
struct BackendParts {
  template <class AnyBackend>
  static MarkerLedger& marker_ledger(AnyBackend& backend) {
    return backend.marker_ledger_;
  }
};

}  // namespace semper::internal
