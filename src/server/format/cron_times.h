// CronTimes: the due times of a calendar timer: its schedule on the clocks of its time zone, by the rule for the
// days on which they are changed (server/cron.h).
//
// Between two changes of a zone's clocks they go on evenly. In such a stretch the due times are those of the
// schedule, later than all that the clocks have shown before, and the stretch's first moment where the change went
// over one. For a schedule of all hours they are just those of the schedule.
//
// The zone's data are the machine's, read once per process. Times are milliseconds since 1970. Threads: any.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "semper/base/result.h"
#include "server/format/cron_schedule.h"

namespace semper::internal {

class ZoneClock;

class CronTimes {
 public:
  // Errors: invalid_argument for what is no schedule or no name, not_found for a zone that is not known here.
  static Result<CronTimes> make(std::string_view schedule, std::string_view zone);

  // The first one after it.
  std::int64_t next_ms(std::int64_t after_ms) const;
  // How many there are after the one time, until the other, and the last one until then.
  std::uint64_t count(std::int64_t after_ms, std::int64_t until_ms) const;
  std::int64_t last_ms(std::int64_t until_ms) const;

 private:
  struct Stretch;

  CronTimes(CronSchedule schedule, std::shared_ptr<const ZoneClock> clock);
  Stretch at(std::int64_t second) const;

  CronSchedule schedule_;
  std::shared_ptr<const ZoneClock> clock_;
};

}  // namespace semper::internal
