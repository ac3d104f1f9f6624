// How a host's coroutines wait: for a watch, for news, or for the host's end, whichever is first.
#pragma once

#include <memory>

#include "semper/env/one_shot.h"
#include "semper/store/transaction.h"
#include "server/serve/host_core.h"

namespace semper::internal {

// Whoever waits for news looks again after this, whatever it has missed.
inline constexpr Duration kSafetyInterval = std::chrono::seconds(5);

// Waits until the watch fires, the host stops, `also` is set or the time is over, whichever is
// first.
Task<void> wait_for_news(HostCore& core, std::unique_ptr<Watch> watch, OneShot<std::monostate> also,
                         Duration at_most);

}  // namespace semper::internal
