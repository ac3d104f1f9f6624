#include "server/format/cron_times.h"

#include <algorithm>
#include <utility>

#include "semper/base/internal/mutant.h"
#include "server/format/zone_clock.h"

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

CronTimes::Stretch CronTimes::at(std::int64_t second) const {
  Stretch stretch;
  stretch.even = clock_->at(second);
  const auto& even = stretch.even;
  if (!even.has_change) {
    stretch.first = stretch.on_calendar(0);
    return stretch;
  }
  stretch.first = stretch.on_calendar(even.begin);
  if (schedule_.is_of_all_hours()) return stretch;
  if (even.shown >= stretch.first) {
    if (!SEMPER_MUTANT("server_cron_repeats_what_clocks_show_twice")) stretch.first = even.shown;
  } else {
    // One at its first moment itself is found as such.
    const std::int64_t lost = schedule_.first_from(even.shown);
    stretch.fills_gap = lost < stretch.first && !schedule_.fits(stretch.first) &&
                        !SEMPER_MUTANT("server_cron_leaves_out_what_clocks_go_over");
  }
  return stretch;
}

std::int64_t CronTimes::next_ms(std::int64_t after_ms) const {
  for (std::int64_t moment = after_ms / kSecond + 1;;) {
    const Stretch stretch = at(moment);
    if (stretch.fills_gap && stretch.even.begin == moment) return moment * kSecond;
    const std::int64_t from = std::max(stretch.first, stretch.on_calendar(moment));
    const std::int64_t due = schedule_.first_from(from) - stretch.even.ahead;
    // There is a stretch that it is in: a schedule comes every eight years.
    if (due < stretch.even.end) return due * kSecond;
    moment = stretch.even.end;
  }
}

std::uint64_t CronTimes::count(std::int64_t after_ms, std::int64_t until_ms) const {
  std::uint64_t count = 0;
  const std::int64_t until = until_ms / kSecond;
  for (std::int64_t moment = after_ms / kSecond + 1; moment <= until;) {
    const Stretch stretch = at(moment);
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
