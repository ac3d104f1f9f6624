// ZoneClock: what the clocks of a time zone show, and when they are changed. The one place that
// knows the library (cctz) which reads the data of zones.
//
// Seconds since 1970: of UTC where a moment is meant, of the zone's own calendar where its clocks
// are. Threads: any.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>

#include "semper/base/result.h"

namespace semper::internal {

class ZoneClock {
 public:
  // Errors: invalid_argument for what cannot be a name, not_found for a zone that this machine has
  // no data of.
  static Result<std::shared_ptr<const ZoneClock>> load(std::string_view zone);
  virtual ~ZoneClock() = default;

  // Of the moments from one change of the clocks to the next.
  struct Even {
    static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

    bool has_change = false;    // at its beginning
    std::int64_t begin = 0;     // of UTC, where there is one
    std::int64_t end = kNever;  // of UTC
    std::int64_t ahead = 0;     // of UTC
    std::int64_t shown = 0;  // what the clocks had come to when they were changed at its beginning
  };
  virtual Even at(std::int64_t moment) const = 0;
};

}  // namespace semper::internal
