// CronSchedule: the schedule of a calendar timer (server/cron.h), on a clock that nobody ever
// changes. What time zones make of it: cron_times.h.
//
// Such a clock counts seconds since 1970 of its own calendar. Bounds: kCronScheduleBytes;
// kCronSearchDays, as there are at most 40 years between two days of a schedule (29 February on a
// given weekday, around 1900 or 2100).
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>

#include "semper/base/result.h"

namespace semper::internal {

inline constexpr std::int64_t kCronSearchDays = 15'000;

class CronSchedule {
 public:
  // Error invalid_argument: what is wrong with it, in words.
  static Result<CronSchedule> parse(std::string_view text);

  bool is_of_all_hours() const { return hours_.all(); }
  bool fits(std::int64_t clock) const { return first_from(clock) == clock; }
  // The first one that is not before, the last one that is not after. There is one.
  std::int64_t first_from(std::int64_t clock) const;
  std::int64_t last_until(std::int64_t clock) const;
  // Of those not before `begin`, and before `end`.
  std::uint64_t count(std::int64_t begin, std::int64_t end) const;

 private:
  Status read(std::string_view text);
  bool fits_day(std::int64_t day) const;
  std::optional<std::int64_t> search_from(std::int64_t clock) const;
  // Within a day, in seconds; none: the day has no such time.
  std::optional<std::int64_t> first_of_day(std::int64_t from) const;
  std::optional<std::int64_t> last_of_day(std::int64_t until) const;
  std::uint64_t count_before(std::int64_t second) const;

  std::bitset<60> seconds_;
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;
  std::bitset<13> months_;
  std::bitset<7> weekdays_;
  bool has_days_ = false;  // the field of the days of a month does not begin with a star
  bool has_weekdays_ = false;
};

}  // namespace semper::internal
