#include "server/calendar/cron_schedule.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "semper/server/cron.h"

namespace semper::internal {
namespace {

using std::chrono::days;
using std::chrono::sys_days;

std::int64_t at(int year, unsigned month, unsigned day, int hour = 0, int minute = 0,
                int second = 0) {
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  return sys_days(date).time_since_epoch() / days(1) * 86'400 + hour * 3600 + minute * 60 + second;
}

CronSchedule must_parse(std::string_view text) {
  auto schedule = CronSchedule::parse(text);
  EXPECT_TRUE(schedule) << schedule.error().to_string();
  return *schedule;
}

std::string refusal(std::string_view text) {
  const auto schedule = CronSchedule::parse(text);
  EXPECT_FALSE(schedule) << text;
  if (schedule) return "";
  EXPECT_EQ(schedule.error().kind(), ErrorKind::invalid_argument);
  return schedule.error().message();
}

// A Wednesday.
const std::int64_t kNow = at(2026, 11, 25, 12, 34, 56);

TEST(CronSchedule, a_schedule_comes_at_the_times_it_names) {
  const auto next = [](std::string_view text) { return must_parse(text).first_from(kNow); };
  EXPECT_EQ(next("* * * * *"), at(2026, 11, 25, 12, 35));
  EXPECT_EQ(next("* * * * * *"), kNow) << "six fields, the second in front";
  EXPECT_EQ(next("*/20 * * * * *"), at(2026, 11, 25, 12, 35));
  EXPECT_EQ(next("30 17 * * mon-fri"), at(2026, 11, 25, 17, 30));
  EXPECT_EQ(next("30 9 * * MON-Fri"), at(2026, 11, 26, 9, 30));
  EXPECT_EQ(next("0 0 * * sat,sun"), at(2026, 11, 28));
  EXPECT_EQ(next("0 0 * * fri-sun"), at(2026, 11, 27));
  EXPECT_EQ(next("0 0 * * 7"), at(2026, 11, 29));
  EXPECT_EQ(next("0 0 * * 0"), at(2026, 11, 29));
  EXPECT_EQ(next("0 0 1 jan-mar,jul *"), at(2027, 1, 1));
  EXPECT_EQ(next("0 0 31 * *"), at(2026, 12, 31)) << "not the last of November";
  EXPECT_EQ(next("0 0 29 2 *"), at(2028, 2, 29));
  EXPECT_EQ(next("0 8-18/4 * * *"), at(2026, 11, 25, 16));
  EXPECT_EQ(next("50/3 12 * * *"), at(2026, 11, 25, 12, 50)) << "from there to the end";
  EXPECT_EQ(must_parse("50/3 12 * * *").first_from(at(2026, 11, 25, 12, 51)),
            at(2026, 11, 25, 12, 53));
  EXPECT_EQ(next("  5\t13  *   * * "), at(2026, 11, 25, 13, 5));
  EXPECT_EQ(next("@hourly"), at(2026, 11, 25, 13));
  EXPECT_EQ(next("@daily"), at(2026, 11, 26));
  EXPECT_EQ(next("@midnight"), at(2026, 11, 26));
  EXPECT_EQ(next("@weekly"), at(2026, 11, 29));
  EXPECT_EQ(next("@Monthly"), at(2026, 12, 1));
  EXPECT_EQ(next("@yearly"), at(2027, 1, 1));
  EXPECT_EQ(next("@annually"), at(2027, 1, 1));
}

TEST(CronSchedule, two_day_fields_fit_either_and_one_with_a_star_fits_both) {
  const auto next = [](std::string_view text) { return must_parse(text).first_from(kNow); };
  EXPECT_EQ(next("0 0 13 * fri"), at(2026, 11, 27)) << "either of them";
  EXPECT_EQ(next("0 0 26 * fri"), at(2026, 11, 26));
  EXPECT_EQ(next("0 0 */2 * fri"), at(2026, 11, 27)) << "a star in front: both";
  EXPECT_EQ(next("0 0 */2 * thu"), at(2026, 12, 3));
}

TEST(CronSchedule, what_is_no_schedule_is_refused_in_words) {
  EXPECT_NE(refusal("").find("0 fields"), std::string::npos);
  EXPECT_NE(refusal("* * * *").find("4 fields"), std::string::npos);
  EXPECT_NE(refusal("* * * * * * *").find("7 fields"), std::string::npos);
  EXPECT_NE(refusal("60 * * * *").find("minute \"60\" is not between 0 and 59"), std::string::npos);
  EXPECT_NE(refusal("* 24 * * *").find("hour"), std::string::npos);
  EXPECT_NE(refusal("* * 0 * *").find("day of the month"), std::string::npos);
  EXPECT_NE(refusal("* * * 13 *").find("month"), std::string::npos);
  EXPECT_NE(refusal("* * * * 8").find("weekday"), std::string::npos);
  EXPECT_NE(refusal("* * * * mondays").find("weekday \"mondays\""), std::string::npos);
  EXPECT_NE(refusal("* * * mon *").find("month"), std::string::npos);
  EXPECT_NE(refusal("20-10 * * * *").find("ends before it begins"), std::string::npos);
  EXPECT_NE(refusal("*/0 * * * *").find("step"), std::string::npos);
  EXPECT_NE(refusal("*/60 * * * *").find("step"), std::string::npos);
  EXPECT_NE(refusal("0 0 30 2 *").find("never comes"), std::string::npos);
  EXPECT_NE(refusal("0 0 31 apr,jun,sep,nov *").find("never comes"), std::string::npos);
  EXPECT_NE(refusal("@every 5m").find("send_every"), std::string::npos);
  EXPECT_NE(refusal("@reboot").find("@hourly"), std::string::npos);
  for (const auto* text : {"- * * * *",
                           "1- * * * *",
                           "-1 * * * *",
                           "1,,2 * * * *",
                           ", * * * *",
                           "*/ * * * *",
                           "/5 * * * *",
                           "1-2-3 * * * *",
                           "1/2/3 * * * *",
                           "+1 * * * *",
                           "1.5 * * * *",
                           "? * * * *",
                           "* * L * *",
                           "* * * * 5#2",
                           "* * 15W * *",
                           "*5 * * * *",
                           "99999999999 * * * *",
                           "*/99999999999 * * * *",
                           "*-5 * * * *",
                           "1 * * * *\n",
                           "0x1 * * * *",
                           "@",
                           "@dailyx"}) {
    EXPECT_FALSE(refusal(text).empty());
  }
  EXPECT_NE(refusal(std::string(kCronScheduleBytes + 1, ' ')).find("kCronScheduleBytes"),
            std::string::npos);
  EXPECT_FALSE(refusal(std::string("* * * * *\0", 10)).empty());
}

TEST(CronSchedule, a_leap_day_is_found_across_a_century_without_one) {
  EXPECT_EQ(must_parse("0 0 29 2 *").first_from(at(2096, 3, 1)), at(2104, 2, 29));
  EXPECT_EQ(must_parse("0 0 29 2 *").last_until(at(2104, 2, 28)), at(2096, 2, 29));
}

// Wherever one starts: a schedule that was taken at one time is not one that ends its process at
// another.
TEST(CronSchedule, leap_days_of_a_weekday_are_found_from_every_year) {
  const auto sunday = must_parse("0 0 29 2 */7");
  EXPECT_EQ(sunday.first_from(at(2088, 3, 1)), at(2128, 2, 29));
  EXPECT_EQ(sunday.last_until(at(2128, 2, 28)), at(2088, 2, 29));
  for (const auto* text : {"0 0 29 2 */2", "0 0 29 2 */3", "0 0 29 2 */4", "0 0 29 2 */5",
                           "0 0 29 2 */6", "0 0 29 2 */7", "0 0 */30 2 mon", "0 0 */28 2 tue"}) {
    const auto schedule = must_parse(text);
    for (int year = 1970; year < 2260; ++year) {
      const auto found = schedule.first_from(at(year, 1, 1));
      EXPECT_EQ(schedule.last_until(found), found) << text << " from " << year;
    }
  }
}

// What is counted, and what lies before, is what one finds by going from one to the next.
TEST(CronSchedule, times_are_counted_and_found_backwards_as_they_come) {
  for (const auto* text : {"* * * * * *", "*/7 3-50/9 */5 * * *", "0 12 29 2 *", "@weekly",
                           "59 59 23 31 12 *", "0 0 0 * * *", "30 17 * * mon-fri"}) {
    const CronSchedule schedule = must_parse(text);
    std::int64_t begin = kNow - 5;
    for (const std::int64_t span : {0, 1, 60, 3'600, 7'201, 86'400, 200'000}) {
      const std::int64_t end = begin + span;
      std::uint64_t count = 0;
      std::int64_t last = -1;
      for (auto time = schedule.first_from(begin); time < end;
           time = schedule.first_from(time + 1)) {
        ++count;
        last = time;
      }
      EXPECT_EQ(schedule.count(begin, end), count) << text << ", " << span;
      if (count > 0) {
        EXPECT_EQ(schedule.last_until(end - 1), last) << text << ", " << span;
      }
      begin += 12'347;
    }
  }
  EXPECT_EQ(must_parse("0 0 29 2 *").count(at(2000, 1, 1), at(2101, 1, 1)), 25u);
  EXPECT_EQ(must_parse("* * * * *").count(at(2026, 1, 1), at(2027, 1, 1)), 365u * 1'440);
}

}  // namespace
}  // namespace semper::internal
