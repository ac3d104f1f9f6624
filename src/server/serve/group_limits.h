// The bounds of a group (group.h), apart from it: a batch keeps to them and knows nothing of who
// runs it.
#pragma once

#include <chrono>
#include <cstddef>

#include "semper/base/time.h"

namespace semper::internal {

inline constexpr std::size_t kGroupEntities = 256;
inline constexpr std::size_t kGroupsAtOnce = 2;
// Of operations of this process. Two such groups are quicker than one of twice the size: the
// callbacks of one run while the other is committed.
inline constexpr std::size_t kLocalGroupEntities = 32;
inline constexpr std::size_t kGroupMessagesPerEntity = 64;
// While a group would be smaller than this, after trouble, only so many ticks join one as it holds.
inline constexpr std::size_t kGroupOfTicks = 32;
// In callbacks: after this the other entities run alone, and one that took so long by itself does
// the next times.
inline constexpr Duration kGroupCallbackTime = std::chrono::milliseconds(5);
// Runs of an entity that spoilt a group, after which it may be part of one again.
inline constexpr int kRunsAloneAfterTrouble = 16;
// A store whose transactions take fewer operations is not one for groups.
inline constexpr std::size_t kGroupOperations = 20'000;

}  // namespace semper::internal
