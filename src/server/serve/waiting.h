// How a host's coroutines wait: for a watch, for news, or for the host's end, whichever is first.
#pragma once

#include <functional>
#include <memory>

#include "semper/env/internal/cancellable.h"
#include "semper/env/one_shot.h"
#include "semper/store/transaction.h"
#include "server/serve/host_core.h"

namespace semper::internal {

// Whoever waits for news looks again after this, whatever it has missed.
inline constexpr Duration kSafetyInterval = std::chrono::seconds(5);

// Watches alongside its caller, who keeps the result in a CancelOnExit: nothing waits any more,
// and the loop may return, when the caller's wait is over. `told`: when the watch fires, its store
// is closed, or the time is over; not where it is cancelled.
std::shared_ptr<Cancellable> watch_beside(const Executor& executor, std::shared_ptr<Watch> watch,
                                          MonotonicTime until, std::function<void()> told);

// Waits until the watch fires, the host stops, `also` is set or the time is over, whichever is
// first.
Task<void> wait_for_news(HostCore& core, std::unique_ptr<Watch> watch, OneShot<std::monostate> also,
                         Duration at_most);

}  // namespace semper::internal
