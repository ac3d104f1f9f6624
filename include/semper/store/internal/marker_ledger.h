// Idempotency markers of finished commits, to be removed along with later ones (src/store/marker.h).
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/time.h"

namespace semper::internal {

struct MarkerLedger {
  static constexpr std::size_t kCapacity = 4096;
  std::mutex mutex;
  std::vector<Bytes> done;
  WallTime next_sweep{};
};

}  // namespace semper::internal
