// CronTimes: the due times of a calendar timer: its schedule on the clocks of its time zone, by the
// rule for the days on which they are changed (server/cron.h).
//
// Between two changes of a zone's clocks they go on evenly. In such a stretch the due times are
// those of the schedule, later than all that the clocks have shown before, and the stretch's first
// moment where the change went over one. For a schedule of all hours they are just those of the
// schedule.
//
// Hosts may have other data of a zone. So a due time is written down with what the clocks show
// then, and the next one is later by both: a day that one host is done with is not begun again by
// another, whose clocks are behind.
//
// The zone's data are the machine's, read once per process. Times are milliseconds since 1970.
// Threads: any.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>

#include "semper/base/result.h"
#include "server/calendar/cron_schedule.h"

namespace semper::internal {

class ZoneClock;

class CronTimes {
 public:
  // Errors: invalid_argument for what is no schedule or no name, not_found for a zone that is not
  // known here.
  static Result<CronTimes> make(std::string_view schedule, std::string_view zone);

  // A due time, and what the clocks show then, in seconds since 1970 of their own calendar.
  struct Due {
    std::int64_t ms = 0;
    std::int64_t shown = kUnknown;  // or nobody has written it down
    static constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::min();
  };
  // By the data of this machine.
  Due due_at(std::int64_t ms) const;

  // The first one after it.
  Due next(Due after) const;
  std::int64_t next_ms(std::int64_t after_ms) const { return next({after_ms, Due::kUnknown}).ms; }
  // How many there are after the one time, until the other, and the last one until then.
  std::uint64_t count(Due after, std::int64_t until_ms) const;
  std::uint64_t count(std::int64_t after_ms, std::int64_t until_ms) const {
    return count({after_ms, Due::kUnknown}, until_ms);
  }
  std::int64_t last_ms(std::int64_t until_ms) const;

 private:
  struct Stretch;

  CronTimes(CronSchedule schedule, std::shared_ptr<const ZoneClock> clock);
  // Without what the clocks have shown until `done`.
  Stretch at(std::int64_t second, std::int64_t done = Due::kUnknown) const;

  CronSchedule schedule_;
  std::shared_ptr<const ZoneClock> clock_;
};

}  // namespace semper::internal
