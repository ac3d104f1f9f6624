// Durations and points in time, separate from clocks: for code that only names them, such as
// options and limits.
//
// When not: to read the time or to wait, use a Clock (semper/env/clock.h).
//
//   Duration timeout = std::chrono::seconds(5);
//
// Threads: values.
#pragma once

#include <chrono>

namespace semper {

using Duration = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// Later than any deadline: a call with this one waits forever.
inline constexpr MonotonicTime kNever = MonotonicTime::max();
inline constexpr Duration kForever = Duration::max();

}  // namespace semper
