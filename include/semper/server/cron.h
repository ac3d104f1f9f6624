// CronOptions: timers with a calendar schedule (Context::send_cron), in the local time of a time
// zone.
//
// What for: the end of a trading day, a report at nine on working days, a bill on the first of the
// month. When not: for a fixed interval, use send_every.
//
//   semper::CronOptions closing{.schedule = "30 17 * * mon-fri", .zone = "Europe/Berlin"};
//   ctx.send_cron("closing", closing, CloseDay{});
//
// A schedule has five fields, or six with the second in front (with five, the second is 0):
//
//   second 0-59, minute 0-59, hour 0-23, day of the month 1-31, month 1-12 or jan-dec,
//   weekday 0-7 or sun-sat (0 and 7 are Sunday)
//
// A field is a comma-separated list of `*` (all), `7`, `1-5`, and steps of these: `*/15`, `8-18/2`,
// `5/10` (from 5 to the end). If neither day field begins with `*`, a day that matches one of them
// is enough. A schedule may also be a name: @hourly, @daily (@midnight), @weekly (Sunday, 0:00),
// @monthly, @yearly (@annually).
//
// When the clocks of the zone change:
// - A local time that is skipped fires at the first moment after the gap; several in one gap fire
//   once.
// - A local time that occurs twice fires once, the first time.
// - A schedule with all hours (`*`, `0-23`) follows elapsed time: every quarter of an hour stays
//   exactly that. A local time that is skipped does not fire, and one that occurs twice fires
//   twice.
//
// Zones come from the machine's IANA database (Debian: tzdata). A host computes the next due time
// in the transaction that fires the previous one, and stores it, so hosts with different data agree
// on it. New rules of a zone apply from the due time after the stored one. Due times are whole
// seconds.
//
// Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "semper/base/result.h"
#include "semper/base/time.h"
#include "semper/server/timer.h"

namespace semper {

// The length of a schedule, and of a zone's name.
inline constexpr std::size_t kCronScheduleBytes = 256;
inline constexpr std::size_t kCronZoneBytes = 64;

struct CronOptions {
  // As above. Required.
  std::string schedule;

  // The time zone of the schedule. Default: UTC.
  std::string zone = "UTC";

  // What happens to due times that passed while no host ran, or while the previous tick waited, as
  // in EveryOptions. `skip`: no tick whose successor is also due.
  EveryOptions::Missed missed = EveryOptions::Missed::coalesce;

  // No due time after this. Default: no end.
  std::optional<WallTime> until = std::nullopt;

  // The number of ticks; 0: no end. Default: no end.
  std::uint64_t max_count = 0;

  // As in EveryOptions, so that not every midnight timer fires at the same moment. At most
  // kTimerJitterMaximum. Default: none.
  Duration jitter{};
};

// The first due time after `after`; none if `until` is before it. For checking and showing a
// configured schedule. Errors: invalid_argument, with an explanation, for a schedule that is
// invalid or never fires (30 February); not_found for a zone that this machine does not know.
Result<std::optional<WallTime>> next_cron_time(const CronOptions& options, WallTime after);

}  // namespace semper
