// Schedules on the clocks of real zones, on the days on which they are changed.
#include "server/calendar/cron_times.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "semper/server/cron.h"

namespace semper::internal {
namespace {

constexpr std::int64_t kHourOfSeconds = 3'600;

// The clocks of a zone as the C library has them, which reads the same data with other code.
class LibcZone {
 public:
  explicit LibcZone(const std::string& zone) {
    ::setenv("TZ", zone.c_str(), 1);
    ::tzset();
  }
  ~LibcZone() {
    ::unsetenv("TZ");
    ::tzset();
  }

  std::int64_t shown(std::int64_t moment) const {
    const time_t when = moment;
    tm parts{};
    ::localtime_r(&when, &parts);
    return moment + parts.tm_gmtoff;
  }
};

CronTimes must_make(std::string_view schedule, std::string_view zone) {
  auto times = CronTimes::make(schedule, zone);
  EXPECT_TRUE(times) << times.error().to_string();
  return *times;
}

// "2026-03-29 01:30 +0100", as a person there would say.
std::string in_words(std::int64_t ms, const std::string& zone) {
  LibcZone there(zone);
  const time_t when = ms / 1'000;
  tm parts{};
  ::localtime_r(&when, &parts);
  char text[64];
  return {text, ::strftime(text, sizeof text, "%F %R %z", &parts)};
}

std::int64_t ms(int year, unsigned month, unsigned day, int hour = 0) {
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  const auto whole = std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(hour);
  return std::chrono::duration_cast<std::chrono::milliseconds>(whole).count();
}

std::vector<std::string> first_ones(std::string_view schedule, const std::string& zone,
                                    std::int64_t after_ms, int count) {
  const CronTimes times = must_make(schedule, zone);
  std::vector<std::string> found;
  for (int i = 0; i < count; ++i) {
    after_ms = times.next_ms(after_ms);
    found.push_back(in_words(after_ms, zone));
  }
  return found;
}

using Words = std::vector<std::string>;

TEST(CronTimes, a_time_that_does_not_exist_comes_at_the_first_moment_after_it) {
  EXPECT_EQ(first_ones("30 2 * * *", "Europe/Berlin", ms(2026, 3, 28), 3),
            Words({"2026-03-28 02:30 +0100", "2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"}));
  EXPECT_EQ(first_ones("*/20 2 * * *", "Europe/Berlin", ms(2026, 3, 28, 12), 2),
            Words({"2026-03-29 03:00 +0200", "2026-03-30 02:00 +0200"}))
      << "three of one gap are one";
  EXPECT_EQ(first_ones("0 2,3 * * *", "Europe/Berlin", ms(2026, 3, 28, 12), 2),
            Words({"2026-03-29 03:00 +0200", "2026-03-30 02:00 +0200"}))
      << "the first moment after the gap is one itself";
  EXPECT_EQ(first_ones("15 2 * * *", "America/New_York", ms(2026, 3, 8), 2),
            Words({"2026-03-08 03:00 -0400", "2026-03-09 02:15 -0400"}));
  // Half an hour: 2:00 to 2:30.
  EXPECT_EQ(first_ones("15 2 * * *", "Australia/Lord_Howe", ms(2026, 10, 3, 0), 2),
            Words({"2026-10-04 02:30 +1100", "2026-10-05 02:15 +1100"}));
  // At midnight.
  EXPECT_EQ(first_ones("@daily", "Africa/Cairo", ms(2025, 4, 23, 22), 3),
            Words({"2025-04-25 01:00 +0300", "2025-04-26 00:00 +0300", "2025-04-27 00:00 +0300"}));
  // The whole of the 30th, when Samoa went over the date line.
  EXPECT_EQ(first_ones("0 12 * * *", "Pacific/Apia", ms(2011, 12, 29, 23), 2),
            Words({"2011-12-31 00:00 +1400", "2011-12-31 12:00 +1400"}));
}

TEST(CronTimes, a_time_that_exists_twice_comes_once_the_first_time) {
  EXPECT_EQ(first_ones("30 2 * * *", "Europe/Berlin", ms(2026, 10, 24, 12), 2),
            Words({"2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"}));
  EXPECT_EQ(first_ones("*/30 1-3 * * *", "Europe/Berlin", ms(2026, 10, 24, 22), 7),
            Words({"2026-10-25 01:00 +0200", "2026-10-25 01:30 +0200", "2026-10-25 02:00 +0200",
                   "2026-10-25 02:30 +0200", "2026-10-25 03:00 +0100", "2026-10-25 03:30 +0100",
                   "2026-10-26 01:00 +0100"}));
  EXPECT_EQ(first_ones("30 1 * * sun", "America/New_York", ms(2026, 11, 1), 2),
            Words({"2026-11-01 01:30 -0400", "2026-11-08 01:30 -0500"}));
  // 1:30 to 2:00.
  EXPECT_EQ(first_ones("45 1 * * *", "Australia/Lord_Howe", ms(2026, 4, 4, 0), 2),
            Words({"2026-04-05 01:45 +1100", "2026-04-06 01:45 +1030"}));
  // Asked for in the second of two hours that look alike.
  const CronTimes daily = must_make("30 2 * * *", "Europe/Berlin");
  EXPECT_EQ(in_words(daily.next_ms(ms(2026, 10, 25, 1)), "Europe/Berlin"),
            "2026-10-26 02:30 +0100");
}

TEST(CronTimes, a_schedule_of_all_hours_follows_elapsed_time) {
  EXPECT_EQ(first_ones("30 * * * *", "Europe/Berlin", ms(2026, 3, 29, 0), 3),
            Words({"2026-03-29 01:30 +0100", "2026-03-29 03:30 +0200", "2026-03-29 04:30 +0200"}));
  EXPECT_EQ(first_ones("@hourly", "Europe/Berlin", ms(2026, 10, 24, 23), 4),
            Words({"2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100", "2026-10-25 03:00 +0100",
                   "2026-10-25 04:00 +0100"}));
  EXPECT_EQ(first_ones("*/30 0-23 * * *", "Australia/Lord_Howe", ms(2026, 4, 4, 14), 4),
            Words({"2026-04-05 01:30 +1100", "2026-04-05 01:30 +1030", "2026-04-05 02:00 +1030",
                   "2026-04-05 02:30 +1030"}));
}

TEST(CronTimes, the_clocks_of_a_far_year_are_changed_as_well) {
  EXPECT_EQ(first_ones("0 12 1 jul *", "Europe/Berlin", ms(2150, 1, 1), 1),
            Words({"2150-07-01 12:00 +0200"}));
}

// All of it against clocks that are watched, second by second.
TEST(CronTimes, times_are_those_that_watched_clocks_give) {
  struct Change {
    const char* zone;
    std::int64_t around_ms;
  };
  const Change changes[] = {{"Europe/Berlin", ms(2026, 3, 29, 1)},
                            {"Europe/Berlin", ms(2026, 10, 25, 1)},
                            {"America/New_York", ms(2026, 3, 8, 7)},
                            {"America/New_York", ms(2026, 11, 1, 6)},
                            {"Australia/Lord_Howe", ms(2026, 4, 4, 15)},
                            {"Australia/Lord_Howe", ms(2026, 10, 3, 15)},
                            {"Africa/Cairo", ms(2025, 4, 24, 22)},
                            {"America/Havana", ms(2026, 11, 1, 5)},
                            {"Pacific/Apia", ms(2011, 12, 30, 10)},
                            {"Asia/Kolkata", ms(2026, 1, 1, 0)},
                            {"UTC", ms(2026, 1, 1, 0)}};
  const char* const schedules[] = {"30 2 * * *", "*/10 * * * *",  "0 */2 * * *", "15,45 1-3 * *  *",
                                   "0 0 * * *",  "30 59 1 * * *", "0 3 * * *",   "*/5 0-1 * * sun"};
  for (const auto& [zone, around_ms] : changes) {
    const std::int64_t begin = around_ms / 1'000 - 26 * kHourOfSeconds;
    const std::int64_t end = around_ms / 1'000 + 26 * kHourOfSeconds;
    std::vector<std::int64_t> shown;
    {
      LibcZone there(zone);
      for (std::int64_t moment = begin; moment < end; ++moment) {
        shown.push_back(there.shown(moment));
      }
    }
    for (const auto* text : schedules) {
      const CronSchedule schedule = *CronSchedule::parse(text);
      const CronTimes times = must_make(text, zone);
      std::vector<std::int64_t> expected;
      std::int64_t latest = shown.front();
      std::int64_t next = schedule.first_from(latest + 1);
      for (std::size_t i = 1; i < shown.size(); ++i) {
        const bool goes_on = shown[i] == shown[i - 1] + 1;
        const bool by_the_hour = schedule.is_of_all_hours();
        if (by_the_hour && !goes_on) next = schedule.first_from(shown[i]);
        if (shown[i] >= next && (by_the_hour || shown[i] > latest)) {
          expected.push_back((begin + static_cast<std::int64_t>(i)) * 1'000);
          next = schedule.first_from(shown[i] + 1);
        }
        latest = std::max(latest, shown[i]);
      }
      std::vector<std::int64_t> found;
      const std::int64_t last_ms = (end - 1) * 1'000;
      for (auto due = times.next_ms(begin * 1'000); due <= last_ms; due = times.next_ms(due)) {
        found.push_back(due);
        ASSERT_LE(found.size(), expected.size() + 5) << zone << ": " << text;
      }
      EXPECT_EQ(found, expected) << zone << ": " << text;
      // Counted, and looked for backwards, from places all along.
      for (std::int64_t from = begin * 1'000; from < last_ms; from += 1'234'567) {
        const auto later = [&](std::int64_t due) { return due > from; };
        EXPECT_EQ(times.count(from, last_ms),
                  static_cast<std::uint64_t>(std::count_if(found.begin(), found.end(), later)))
            << zone << ": " << text << ", " << from;
        const auto after = std::find_if(found.begin(), found.end(), later);
        if (after != found.begin()) {
          EXPECT_EQ(times.last_ms(from), *std::prev(after)) << zone << ": " << text;
        }
      }
    }
  }
}

TEST(CronTimes, a_name_that_is_no_zone_is_not_looked_for_among_files) {
  for (const auto* zone :
       {"", "/etc/localtime", "file:Europe/Berlin", "Europe/Berlin\n", "a b", "libc:localtime",
        "../zoneinfo/UTC", "localtime", "posixrules", "right/Europe/Berlin", "posix/UTC"}) {
    const auto times = CronTimes::make("@daily", zone);
    ASSERT_FALSE(times) << zone;
    EXPECT_EQ(times.error().kind(), ErrorKind::invalid_argument) << zone;
  }
  const auto nowhere = CronTimes::make("@daily", "Europe/Atlantis");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().kind(), ErrorKind::not_found);
  EXPECT_NE(nowhere.error().message().find("tzdata"), std::string::npos);
  EXPECT_FALSE(CronTimes::make("@daily", std::string(kCronZoneBytes + 1, 'a')));
  EXPECT_FALSE(CronTimes::make("no schedule", "UTC"));
}

TEST(CronTimes, the_next_time_is_the_same_for_whoever_asks) {
  const CronOptions closing{.schedule = "30 17 * * mon-fri", .zone = "Europe/Berlin"};
  const WallTime friday{std::chrono::milliseconds(ms(2026, 11, 27, 17))};
  const auto next = next_cron_time(closing, friday);
  ASSERT_TRUE(next && *next);
  EXPECT_EQ(**next,
            WallTime(std::chrono::milliseconds(ms(2026, 11, 30, 16)) + std::chrono::minutes(30)));
  CronOptions ending = closing;
  ending.until = friday + std::chrono::hours(1);
  const auto none = next_cron_time(ending, friday);
  EXPECT_TRUE(none && !*none);
  EXPECT_TRUE(next_cron_time(closing, WallTime(std::chrono::hours(-24))));
  const auto last = next_cron_time(closing, WallTime::max());
  EXPECT_TRUE(last && !*last) << "the calendar ends there";
}

}  // namespace
}  // namespace semper::internal
