// Who has the side that one wants to attach to, where no role can tell: see neighbours.h.
#pragma once

#include "ring/attachment.h"

namespace semper::ring::internal {

// How long one who attaches watches another one that may live, ...
inline constexpr Duration kWatch = std::chrono::seconds(3);
inline constexpr Duration kWatchStep = std::chrono::milliseconds(250);
// ... and how long it waits after its claim, for who had looked just before.
inline constexpr Duration kClaimPause = kOwnerCheck + std::chrono::milliseconds(500);

// Whether the holder that the side's pointer names may be at work where no role keeps it out.
bool may_live_elsewhere(const Attachment& attachment);

// Error: conflict, where the holder does anything meanwhile.
Async<void> watch_holder(const Attachment& attachment);

}  // namespace semper::ring::internal
