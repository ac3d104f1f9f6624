#include "server/calendar/cron_schedule.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "semper/base/assert.h"
#include "semper/base/bytes.h"
#include "semper/server/cron.h"

namespace semper::internal {
namespace {

constexpr std::int64_t kDay = 86'400;
// 1 January 2000, in front of a 29 February.
constexpr std::int64_t kSomeDay = 946'684'800;

constexpr std::string_view kMonths[] = {"",    "jan", "feb", "mar", "apr", "may", "jun",
                                        "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kWeekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct Shorthand {
  std::string_view name;
  std::string_view schedule;
};
constexpr Shorthand kShorthands[] = {{"@hourly", "0 * * * *"},   {"@daily", "0 0 * * *"},
                                     {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
                                     {"@monthly", "0 0 1 * *"},  {"@yearly", "0 0 1 1 *"},
                                     {"@annually", "0 0 1 1 *"}};

std::string lower(std::string_view text) {
  std::string made(text);
  for (char& c : made) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return made;
}

std::vector<std::string_view> split(std::string_view text, std::string_view at) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find_first_of(at);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// One field of a schedule.
class CronField {
 public:
  constexpr CronField(std::string_view what, int least, int most,
                      std::span<const std::string_view> names = {})
      : what_(what), least_(least), most_(most), names_(names) {}

  template <std::size_t size>
  Status read(std::string_view text, std::bitset<size>& into) const {
    for (const auto item : split(text, ",")) {
      SEMPER_TRY(const auto range, read_item(item));
      for (int i = range.first; i <= range.last; i += range.step) {
        into.set(static_cast<std::size_t>(i) % size);  // weekday 7 is 0; nothing else is over
      }
    }
    return {};
  }

 private:
  struct Range {
    int first;
    int last;
    int step = 1;
  };

  bool has_two_sundays() const { return most_ == 7; }

  Error wrong(std::string_view item, const std::string& why) const {
    return Error(ErrorKind::invalid_argument,
                 std::string(what_) + " \"" + to_printable(item, 64) + "\" " + why);
  }

  Result<int> read_number(std::string_view text, std::string_view item) const {
    int number = 0;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failed == std::errc() && end == text.data() + text.size() && text[0] != '-') return number;
    if (failed == std::errc::result_out_of_range) return fail(wrong(item, "is too large"));
    return fail(wrong(item, "is none that a schedule knows"));
  }

  Result<int> read_value(std::string_view text, std::string_view item) const {
    const auto name = std::find(names_.begin(), names_.end(), lower(text));
    if (!text.empty() && name != names_.end()) return static_cast<int>(name - names_.begin());
    SEMPER_TRY(const int number, read_number(text, item));
    if (number >= least_ && number <= most_) return number;
    return fail(
        wrong(item, "is not between " + std::to_string(least_) + " and " + std::to_string(most_)));
  }

  Result<Range> read_item(std::string_view item) const {
    const auto slash = item.find('/');
    std::string_view span = item.substr(0, slash);
    const auto dash = span.find('-');
    Range range{least_, has_two_sundays() ? most_ - 1 : most_};
    if (span != "*") {
      SEMPER_TRY(range.first, read_value(span.substr(0, dash), item));
      if (dash != std::string_view::npos) {
        SEMPER_TRY(range.last, read_value(span.substr(dash + 1), item));
        if (range.last == 0 && range.first > 0 && has_two_sundays()) range.last = 7;  // fri-sun
      } else if (slash == std::string_view::npos) {
        range.last = range.first;
      }
      if (range.last < range.first) {
        return fail(wrong(item, "ends before it begins; write two ranges, with a comma"));
      }
    }
    if (slash == std::string_view::npos) return range;
    SEMPER_TRY(range.step, read_number(item.substr(slash + 1), item));
    if (range.step < 1 || range.step > most_) {
      return fail(wrong(item, "has a step that is not between 1 and " + std::to_string(most_)));
    }
    return range;
  }

  std::string_view what_;
  int least_;
  int most_;
  std::span<const std::string_view> names_;
};

constexpr CronField kSecondField("second", 0, 59);
constexpr CronField kMinuteField("minute", 0, 59);
constexpr CronField kHourField("hour", 0, 23);
constexpr CronField kDayField("day of the month", 1, 31);
constexpr CronField kMonthField("month", 1, 12, kMonths);
constexpr CronField kWeekdayField("weekday", 0, 7, kWeekdays);

// The first set bit from there; size: there is none.
template <std::size_t size>
std::int64_t next_set(const std::bitset<size>& bits, std::int64_t from) {
  while (from < static_cast<std::int64_t>(size) && !bits[static_cast<std::size_t>(from)]) ++from;
  return from;
}
// The last one until there; -1: there is none.
template <std::size_t size>
std::int64_t last_set(const std::bitset<size>& bits, std::int64_t until) {
  while (until >= 0 && !bits[static_cast<std::size_t>(until)]) --until;
  return until;
}
template <std::size_t size>
std::uint64_t set_before(const std::bitset<size>& bits, std::int64_t end) {
  std::uint64_t count = 0;
  for (std::int64_t i = 0; i < end; ++i) count += bits[static_cast<std::size_t>(i)] ? 1 : 0;
  return count;
}

std::int64_t day_of(std::int64_t clock) {
  return clock >= 0 ? clock / kDay : (clock - kDay + 1) / kDay;
}

}  // namespace

Result<CronSchedule> CronSchedule::parse(std::string_view text) {
  CronSchedule schedule;
  Status read = fail(ErrorKind::invalid_argument,
                     "it is longer than kCronScheduleBytes, " + std::to_string(kCronScheduleBytes));
  if (text.size() <= kCronScheduleBytes) read = schedule.read(text);
  if (read && !schedule.search_from(kSomeDay)) {
    read = fail(ErrorKind::invalid_argument,
                "none of its months has such a day, so it never comes due");
  }
  if (read) return schedule;
  return fail(read.error().in("schedule \"" + to_printable(text, 64) + "\""));
}

Status CronSchedule::read(std::string_view text) {
  if (text.starts_with('@')) {
    const auto named = std::find_if(std::begin(kShorthands), std::end(kShorthands),
                                    [&](const auto& one) { return one.name == lower(text); });
    if (named != std::end(kShorthands)) return read(named->schedule);
    const bool is_every = lower(text).starts_with("@every");
    return fail(ErrorKind::invalid_argument,
                is_every ? "what comes every so often is set with send_every"
                         : "it is none of @hourly, @daily, @weekly, @monthly and @yearly");
  }
  auto fields = split(text, " \t");
  std::erase(fields, std::string_view());
  if (fields.size() == 5) fields.insert(fields.begin(), "0");
  if (fields.size() != 6) {
    return fail(ErrorKind::invalid_argument,
                "it has " + std::to_string(fields.size()) +
                    " fields; five are needed (minute, hour, day of the month, month, weekday), "
                    "or six with the second in front");
  }
  SEMPER_TRY_STATUS(kSecondField.read(fields[0], seconds_));
  SEMPER_TRY_STATUS(kMinuteField.read(fields[1], minutes_));
  SEMPER_TRY_STATUS(kHourField.read(fields[2], hours_));
  SEMPER_TRY_STATUS(kDayField.read(fields[3], days_));
  SEMPER_TRY_STATUS(kMonthField.read(fields[4], months_));
  SEMPER_TRY_STATUS(kWeekdayField.read(fields[5], weekdays_));
  has_days_ = !fields[3].starts_with('*');
  has_weekdays_ = !fields[5].starts_with('*');
  return {};
}

bool CronSchedule::fits_day(std::int64_t day) const {
  const std::chrono::sys_days date{std::chrono::days(day)};
  const std::chrono::year_month_day parts(date);
  if (!months_[static_cast<unsigned>(parts.month())]) return false;
  const bool fits_month = days_[static_cast<unsigned>(parts.day())];
  const bool fits_week = weekdays_[std::chrono::weekday(date).c_encoding()];
  return has_days_ && has_weekdays_ ? fits_month || fits_week : fits_month && fits_week;
}

std::optional<std::int64_t> CronSchedule::first_of_day(std::int64_t from) const {
  for (auto hour = next_set(hours_, from / 3600); hour < 24; hour = next_set(hours_, hour + 1)) {
    const std::int64_t rest = std::max<std::int64_t>(from - hour * 3600, 0);
    for (auto minute = next_set(minutes_, rest / 60); minute < 60;
         minute = next_set(minutes_, minute + 1)) {
      const auto second = next_set(seconds_, std::max<std::int64_t>(rest - minute * 60, 0));
      if (second < 60) return hour * 3600 + minute * 60 + second;
    }
  }
  return std::nullopt;
}

std::optional<std::int64_t> CronSchedule::last_of_day(std::int64_t until) const {
  for (auto hour = last_set(hours_, until / 3600); hour >= 0; hour = last_set(hours_, hour - 1)) {
    const std::int64_t rest = std::min<std::int64_t>(until - hour * 3600, 3599);
    for (auto minute = last_set(minutes_, rest / 60); minute >= 0;
         minute = last_set(minutes_, minute - 1)) {
      const auto second = last_set(seconds_, std::min<std::int64_t>(rest - minute * 60, 59));
      if (second >= 0) return hour * 3600 + minute * 60 + second;
    }
  }
  return std::nullopt;
}

std::uint64_t CronSchedule::count_before(std::int64_t second) const {
  const std::int64_t hour = second / 3600;
  std::uint64_t count = set_before(hours_, hour) * minutes_.count() * seconds_.count();
  if (hour >= 24 || !hours_[static_cast<std::size_t>(hour)]) return count;
  const std::int64_t minute = second % 3600 / 60;
  count += set_before(minutes_, minute) * seconds_.count();
  if (!minutes_[static_cast<std::size_t>(minute)]) return count;
  return count + set_before(seconds_, second % 60);
}

std::optional<std::int64_t> CronSchedule::search_from(std::int64_t clock) const {
  const std::int64_t first = day_of(clock);
  for (std::int64_t day = first; day < first + kCronSearchDays; ++day) {
    if (!fits_day(day)) continue;
    const auto time = first_of_day(day == first ? clock - day * kDay : 0);
    if (time) return day * kDay + *time;
  }
  return std::nullopt;
}

std::int64_t CronSchedule::first_from(std::int64_t clock) const {
  const auto found = search_from(clock);
  SEMPER_ASSERT(found.has_value(), "parse() takes no schedule that never comes");
  return *found;
}

std::int64_t CronSchedule::last_until(std::int64_t clock) const {
  const std::int64_t last = day_of(clock);
  for (std::int64_t day = last; day > last - kCronSearchDays; --day) {
    if (!fits_day(day)) continue;
    const auto time = last_of_day(day == last ? clock - day * kDay : kDay - 1);
    if (time) return day * kDay + *time;
  }
  SEMPER_ASSERT(false, "parse() takes no schedule that never comes");
  return clock;
}

std::uint64_t CronSchedule::count(std::int64_t begin, std::int64_t end) const {
  std::uint64_t count = 0;
  if (begin >= end) return count;
  for (std::int64_t day = day_of(begin); day * kDay < end; ++day) {
    if (!fits_day(day)) continue;
    const std::int64_t midnight = day * kDay;
    count += count_before(std::min(end - midnight, kDay)) -
             count_before(std::max<std::int64_t>(begin - midnight, 0));
  }
  return count;
}

}  // namespace semper::internal
