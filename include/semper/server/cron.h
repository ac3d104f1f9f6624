// CronOptions: timers by the calendar (Context::send_cron), on the clocks of a time zone.
//
// What for: the end of a trading day, a report at nine on working days, a bill on the first of the
// month. When not: every so often, without a calendar, which is send_every.
//
//   semper::CronOptions closing{.schedule = "30 17 * * mon-fri", .zone = "Europe/Berlin"};
//   ctx.send_cron("closing", closing, CloseDay{});
//
// A schedule has five fields, or six with the second in front (five mean second 0):
//
//   second 0-59, minute 0-59, hour 0-23, day of the month 1-31, month 1-12 or jan-dec,
//   weekday 0-7 or sun-sat (0 and 7 are Sunday)
//
// A field is a list, with commas, of `*` (all), `7`, `1-5`, and steps of those: `*/15`, `8-18/2`,
// `5/10` (from 5 to the end). If neither day field begins with `*`, a day that fits one of them is one.
// Or a name: @hourly, @daily (@midnight), @weekly (Sunday, 0:00), @monthly, @yearly (@annually).
//
// When the clocks of the zone are changed:
// - A local time that is skipped comes at the first moment after the gap; several of one gap are one.
// - A local time that occurs twice comes once, the first time.
// - A schedule of all hours (`*`, `0-23`) follows the hours that pass: every quarter of an hour stays
//   just that. What is skipped is left out, what occurs twice comes twice.
//
// Zones are those of the IANA database, as the machine has it (Debian: tzdata). A host computes the
// next due time in the transaction that fires the one before, and writes it down: hosts whose data differ
// agree on it. New rules of a zone count from the due time after that. Due times have whole seconds.
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

// Of a schedule, and of a zone's name.
inline constexpr std::size_t kCronScheduleBytes = 256;
inline constexpr std::size_t kCronZoneBytes = 64;

struct CronOptions {
  // As above. Must be given.
  std::string schedule;

  // Whose clock the schedule is read on. Default: that of no country.
  std::string zone = "UTC";

  // Due times that passed while no host ran, or while the tick before waited, as in EveryOptions.
  // `skip`: none whose successor is due as well.
  EveryOptions::Missed missed = EveryOptions::Missed::coalesce;

  // No due time after this. Default: no end.
  std::optional<WallTime> until = std::nullopt;

  // Ticks sent; 0: no end. Default: no end.
  std::uint64_t max_count = 0;

  // As in EveryOptions: where everybody's midnight would be one moment. At most kTimerJitterMaximum.
  // Default: none.
  Duration jitter{};
};

// The first due time after `after`; none: `until` is before it. To check what was configured, and to
// show it. Errors: invalid_argument, in words, for a schedule that is none or never comes (30 February);
// not_found for a zone that this machine does not know.
Result<std::optional<WallTime>> next_cron_time(const CronOptions& options, WallTime after);

}  // namespace semper
