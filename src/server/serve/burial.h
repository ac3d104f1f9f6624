// Burial: which message is to be set aside, and what is said of it.
#pragma once

#include <cstdint>

#include "semper/base/result.h"
#include "server/serve/announcement.h"

namespace semper::internal {

// A message of the queue to be set aside, for this reason, if it is still the first.
struct Burial {
  enum class Tell : std::uint8_t { yes, no };

  QueuePlace place;
  Error reason;
  std::uint64_t attempts = 1;
  std::int64_t first_ms = 0;  // of the first attempt; 0: now
  Tell tell = Tell::yes;      // the entity, where it has a callback for it
};

}  // namespace semper::internal
