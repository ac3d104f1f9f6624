// What tests of limits have in common.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "semper/env/clock.h"
#include "semper/server/rate_limit.h"

namespace semper::testing {

// The limit key of an entity "KEY/NAME".
inline std::string limit_key_in(const std::string& id) {
  return id.substr(0, id.find('/'));
}

// By how much there are more of these moments within any time than the rate allows in that time,
// with the second for which tokens last.
inline double excess_over(const RateLimit& rate, std::vector<MonotonicTime> times) {
  std::sort(times.begin(), times.end());
  const double per_second = rate.messages / std::chrono::duration<double>(rate.per).count();
  double excess = -1e9;
  for (std::size_t i = 0; i < times.size(); ++i) {
    for (std::size_t j = i; j < times.size(); ++j) {
      const double span = std::chrono::duration<double>(times[j] - times[i]).count();
      const double allowed = rate.burst + per_second * (span + 1.0);
      excess = std::max(excess, static_cast<double>(j - i + 1) - allowed);
    }
  }
  return excess;
}

}  // namespace semper::testing
