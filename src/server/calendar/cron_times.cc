#include "server/calendar/cron_times.h"

#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/calendar/zone_clock.h"

namespace semper::internal {
namespace {

constexpr std::int64_t kSecond = 1'000;  // in milliseconds

}  // namespace

struct CronTimes::Stretch {
  ZoneClock::Even even;
  std::int64_t first = 0;  // on its calendar: where its due times begin
  bool fills_gap = false;  // its first moment is one, for those that the clocks went over

  std::int64_t on_calendar(std::int64_t moment) const { return moment + even.ahead; }
};

CronTimes::CronTimes(CronSchedule schedule, std::shared_ptr<const ZoneClock> clock)
    : schedule_(schedule), clock_(std::move(clock)) {}

Result<CronTimes> CronTimes::make(std::string_view schedule, std::string_view zone) {
  SEMPER_TRY(auto parsed, CronSchedule::parse(schedule));
  SEMPER_TRY(auto clock, ZoneClock::load(zone));
  return CronTimes(parsed, std::move(clock));
}

CronTimes::Stretch CronTimes::at(std::int64_t second, std::int64_t done) const {
  Stretch stretch;
  stretch.even = clock_->at(second);
  const auto& even = stretch.even;
  stretch.first = stretch.on_calendar(even.has_change ? even.begin : 0);
  if (schedule_.is_of_all_hours()) return stretch;
  const bool is_free = done == Due::kUnknown || SEMPER_MUTANT("server_cron_begins_a_day_again");
  const std::int64_t begin = is_free ? std::numeric_limits<std::int64_t>::min() : done + 1;
  if (even.has_change && even.shown < stretch.first) {
    // One at its first moment itself is found as such.
    const std::int64_t lost = schedule_.first_from(std::max(even.shown, begin));
    stretch.fills_gap = lost < stretch.first && !schedule_.fits(stretch.first) &&
                        !SEMPER_MUTANT("server_cron_leaves_out_what_clocks_go_over");
  } else if (even.has_change && !SEMPER_MUTANT("server_cron_repeats_what_clocks_show_twice")) {
    stretch.first = even.shown;
  }
  stretch.first = std::max(stretch.first, begin);
  return stretch;
}

CronTimes::Due CronTimes::due_at(std::int64_t ms) const {
  return {ms, at(ms / kSecond).on_calendar(ms / kSecond)};
}

CronTimes::Due CronTimes::next(Due after) const {
  for (std::int64_t moment = after.ms / kSecond + 1;;) {
    const Stretch stretch = at(moment, after.shown);
    const std::int64_t now = stretch.on_calendar(moment);
    if (stretch.fills_gap && stretch.even.begin == moment) return {moment * kSecond, now};
    const std::int64_t shown = schedule_.first_from(std::max(stretch.first, now));
    const std::int64_t due = shown - stretch.even.ahead;
    // There is a stretch that it is in: a schedule comes within kCronSearchDays.
    if (due < stretch.even.end) return {due * kSecond, shown};
    moment = stretch.even.end;
  }
}

std::uint64_t CronTimes::count(Due after, std::int64_t until_ms) const {
  std::uint64_t count = 0;
  const std::int64_t until = until_ms / kSecond;
  for (std::int64_t moment = after.ms / kSecond + 1; moment <= until;) {
    const Stretch stretch = at(moment, after.shown);
    if (stretch.fills_gap && stretch.even.begin == moment) ++count;
    const std::int64_t end = std::min(until + 1, stretch.even.end);
    const std::int64_t from = std::max(stretch.first, stretch.on_calendar(moment));
    count += schedule_.count(from, stretch.on_calendar(end));
    moment = end;
  }
  return count;
}

std::int64_t CronTimes::last_ms(std::int64_t until_ms) const {
  for (std::int64_t moment = until_ms / kSecond;;) {
    const Stretch stretch = at(moment);
    const std::int64_t last = schedule_.last_until(stretch.on_calendar(moment));
    const bool is_within = last >= stretch.first;
    if (is_within || !stretch.even.has_change) return (last - stretch.even.ahead) * kSecond;
    if (stretch.fills_gap) return stretch.even.begin * kSecond;
    moment = stretch.even.begin - 1;
  }
}

}  // namespace semper::internal
