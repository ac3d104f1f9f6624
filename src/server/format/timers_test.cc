#include "server/format/timers.h"

#include <gtest/gtest.h>

#include <set>

#include "semper/base/cbor.h"
#include "server/format/keys.h"
#include "server/format/message_trace.h"

namespace semper::internal {
namespace {

using namespace std::chrono_literals;
using namespace std::string_view_literals;

const Limits kLimits = [] {
  Limits limits;
  limits.value_bytes = 1u << 20;
  return limits;
}();

RawMessage message() {
  return {"Ring", Bytes("\xf6")};
}

// Set at 1,000 ms.
TimerRecord every(const EveryOptions& options) {
  auto spec = timer_every(options, message(), kLimits);
  EXPECT_TRUE(spec);
  TimerRecord timer = begin_timer(std::move(*spec), 1'000);
  timer.stamp = Versionstamp::complete(7, 0, 0);
  return timer;
}

TEST(Timers, a_fixed_rate_does_not_drift_with_late_ticks) {
  TimerRecord timer = every({.period = 100ms});
  EXPECT_EQ(timer.next_ms, 1'100);
  for (int i = 1; i <= 20; ++i) {
    const Firing firing = fire_timer(timer, "t", timer.next_ms + 37);
    ASSERT_EQ(firing.what, Fired::tick);
    EXPECT_EQ(firing.tick.nominal_ms, 1'000 + i * 100);
    EXPECT_EQ(firing.tick.actual_ms, firing.tick.nominal_ms + 37);
    EXPECT_EQ(firing.tick.number, static_cast<std::uint64_t>(i));
    EXPECT_EQ(firing.tick.missed, 0u);
    EXPECT_FALSE(timer.is_indexed()) << "its tick waits: it must not fire again";
    EXPECT_TRUE(go_on(timer, firing.tick.actual_ms + 5));
    EXPECT_TRUE(timer.is_indexed());
  }
}

TEST(Timers, a_fixed_delay_begins_when_the_tick_was_handled) {
  TimerRecord timer = every({.period = 100ms, .pace = EveryOptions::Pace::fixed_delay});
  const Firing firing = fire_timer(timer, "t", 1'100);
  ASSERT_EQ(firing.what, Fired::tick);
  EXPECT_TRUE(go_on(timer, 1'777));
  EXPECT_EQ(timer.next_ms, 1'877);
  // Late, and nothing was missed.
  const Firing late = fire_timer(timer, "t", 9'999);
  EXPECT_EQ(late.tick.missed, 0u);
  EXPECT_EQ(late.tick.nominal_ms, 1'877);
}

TEST(Timers, missed_ticks_are_coalesced_by_default) {
  TimerRecord timer = every({.period = 100ms});
  const Firing firing = fire_timer(timer, "t", 1'550);
  ASSERT_EQ(firing.what, Fired::tick);
  EXPECT_EQ(firing.tick.nominal_ms, 1'500) << "the last one that is due";
  EXPECT_EQ(firing.tick.number, 5u);
  EXPECT_EQ(firing.tick.missed, 4u);
  // Handled late: what passed meanwhile is missed by the next.
  EXPECT_TRUE(go_on(timer, 1'830));
  const Firing next = fire_timer(timer, "t", 1'830);
  EXPECT_EQ(next.tick.nominal_ms, 1'800);
  EXPECT_EQ(next.tick.number, 8u);
  EXPECT_EQ(next.tick.missed, 2u);
}

TEST(Timers, all_missed_ticks_are_sent_where_that_was_asked_for) {
  TimerRecord timer = every({.period = 100ms, .missed = EveryOptions::Missed::all});
  for (std::uint64_t i = 1; i <= 5; ++i) {
    const Firing firing = fire_timer(timer, "t", 1'550);
    ASSERT_EQ(firing.what, Fired::tick);
    EXPECT_EQ(firing.tick.number, i);
    EXPECT_EQ(firing.tick.nominal_ms, 1'000 + static_cast<std::int64_t>(i) * 100);
    EXPECT_TRUE(go_on(timer, 1'550));
  }
  EXPECT_EQ(timer.next_ms, 1'600);
}

TEST(Timers, late_ticks_are_skipped_where_that_was_asked_for) {
  TimerRecord timer = every({.period = 100ms, .missed = EveryOptions::Missed::skip});
  const Firing skipped = fire_timer(timer, "t", 1'350);
  EXPECT_EQ(skipped.what, Fired::later);
  EXPECT_TRUE(timer.is_indexed());
  EXPECT_EQ(timer.next_ms, 1'400);
  const Firing firing = fire_timer(timer, "t", 1'401);
  ASSERT_EQ(firing.what, Fired::tick);
  EXPECT_EQ(firing.tick.number, 4u);
  EXPECT_EQ(firing.tick.missed, 3u);
}

TEST(Timers, a_timer_ends_at_its_count_or_its_time) {
  TimerRecord counted = every({.period = 100ms, .max_count = 2});
  static_cast<void>(fire_timer(counted, "t", 1'100));
  EXPECT_TRUE(go_on(counted, 1'100));
  static_cast<void>(fire_timer(counted, "t", 1'200));
  EXPECT_FALSE(go_on(counted, 1'200));

  TimerRecord ending = every({.period = 100ms, .until = timer_time(1'250)});
  // Hours late: the last one before the end, and no other.
  const Firing firing = fire_timer(ending, "t", 9'000'000);
  ASSERT_EQ(firing.what, Fired::tick);
  EXPECT_EQ(firing.tick.nominal_ms, 1'200);
  EXPECT_EQ(firing.tick.missed, 1u);
  EXPECT_FALSE(go_on(ending, 9'000'000));

  TimerRecord over = every({.period = 100ms, .until = timer_time(1'050)});
  EXPECT_EQ(fire_timer(over, "t", 2'000).what, Fired::over);
}

TEST(Timers, a_timer_of_a_single_tick_ends_with_it) {
  auto spec = timer_after(5ms, message(), kLimits);
  ASSERT_TRUE(spec);
  TimerRecord timer = begin_timer(*spec, 1'000);
  timer.stamp = Versionstamp::complete(7, 0, 0);
  EXPECT_EQ(timer.next_ms, 1'005);
  const Firing firing = fire_timer(timer, "t", 99'000);
  EXPECT_EQ(firing.tick.missed, 0u);
  EXPECT_EQ(firing.tick.nominal_ms, 1'005);
  EXPECT_FALSE(go_on(timer, 99'000));
}

TEST(Timers, times_are_rounded_up_and_do_not_overflow) {
  EXPECT_EQ(to_timer_ms(Duration(1)), 1);
  EXPECT_EQ(to_timer_ms(1ms + 1ns), 2);
  EXPECT_EQ(to_timer_ms(-5s), 0);
  EXPECT_EQ(to_timer_ms(WallTime(-5s)), 0);
  const auto for_ever = timer_after(kForever, message(), kLimits);
  ASSERT_TRUE(for_ever);
  const TimerRecord timer = begin_timer(*for_ever, 1'700'000'000'000);
  EXPECT_GT(timer_time(timer.next_ms), WallTime(std::chrono::hours(24 * 365 * 290)));
  TimerRecord slow = every({.period = kForever});
  static_cast<void>(fire_timer(slow, "t", slow.next_ms));
  EXPECT_TRUE(go_on(slow, slow.next_ms));
}

TEST(Timers, a_timer_is_read_as_it_was_written) {
  EveryOptions options{.period = 100ms};
  options.first = timer_time(5'000);
  options.until = timer_time(50'000);
  options.pace = EveryOptions::Pace::fixed_delay;
  options.missed = EveryOptions::Missed::skip;
  options.max_count = 9;
  TimerRecord timer = every(options);
  timer.next_number = 4;
  timer.ticks = 3;
  timer.missed = 2;
  timer.queued = 3;
  const auto read = TimerRecord::decode(timer.encode());
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_TRUE(is_same_timer(read->spec, timer.spec));
  EXPECT_EQ(read->stamp, timer.stamp);
  EXPECT_EQ(read->next_ms, timer.next_ms);
  EXPECT_EQ(read->next_number, 4u);
  EXPECT_EQ(read->ticks, 3u);
  EXPECT_EQ(read->missed, 2u);
  EXPECT_EQ(read->queued, 3u);
  EXPECT_EQ(read->encode(), timer.encode());
}

TEST(Timers, a_damaged_row_is_refused) {
  const Bytes whole = every({.period = 100ms}).encode();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto read = TimerRecord::decode(BytesView(whole).substr(0, size));
    ASSERT_FALSE(read) << size;
    EXPECT_EQ(read.error().kind(), ErrorKind::corrupt);
  }
  Bytes newer = whole;
  newer[Versionstamp::size + 1] = 4;  // the format
  EXPECT_EQ(TimerRecord::decode(newer).error().kind(), ErrorKind::unsupported);
}

TEST(Timers, timers_are_the_same_only_if_their_specs_are_equal) {
  const EveryOptions base{.period = 100ms};
  const auto spec = *timer_every(base, message(), kLimits);
  EveryOptions other = base;
  other.period = 200ms;
  EXPECT_FALSE(is_same_timer(spec, *timer_every(other, message(), kLimits)));
  other = base;
  other.max_count = 1;
  EXPECT_FALSE(is_same_timer(spec, *timer_every(other, message(), kLimits)));
  other = base;
  other.first = timer_time(1);
  EXPECT_FALSE(is_same_timer(spec, *timer_every(other, message(), kLimits)));
  EXPECT_FALSE(is_same_timer(spec, *timer_every(base, {"Ring", Bytes("\xf5")}, kLimits)));
  EXPECT_FALSE(is_same_timer(spec, *timer_after(100ms, message(), kLimits)));
  EXPECT_TRUE(is_same_timer(spec, *timer_every(base, message(), kLimits)));
}

// Set at 12:34 on Wednesday, 25 November 2026.
constexpr std::int64_t kSetAt = 1'795'610'040'000;
constexpr std::int64_t kMinute = 60'000;
constexpr std::int64_t kHour = 60 * kMinute;

struct ByCalendar {
  TimerRecord timer;
  CronTimes times;

  Firing fire(std::int64_t now_ms) { return fire_timer(timer, "t", now_ms, &times); }
};
ByCalendar cron(const CronOptions& options) {
  TimerRequest request;
  request.spec = *timer_cron(options, message(), kLimits);
  request.seed = 77;
  request.cron_ms = *first_cron_ms(*request.spec, kSetAt);
  auto times = cron_times_of(*request.spec);
  ByCalendar made{begin_timer(std::move(request), kSetAt), **times};
  made.timer.stamp = Versionstamp::complete(7, 0, 0);
  return made;
}

TEST(Timers, a_calendar_timer_comes_on_time_and_counts_what_it_missed) {
  auto hourly = cron({.schedule = "@hourly"});
  EXPECT_EQ(hourly.timer.next_ms, kSetAt + 26 * kMinute);
  const Firing first = hourly.fire(hourly.timer.next_ms + 5);
  ASSERT_EQ(first.what, Fired::tick);
  EXPECT_EQ(first.tick.nominal_ms, kSetAt + 26 * kMinute);
  EXPECT_EQ(first.tick.number, 1u);
  EXPECT_EQ(hourly.timer.next_ms, kSetAt + 86 * kMinute) << "written in the same transaction";
  EXPECT_TRUE(go_on(hourly.timer, hourly.timer.next_ms));
  // A year in which nobody ran.
  const std::int64_t year = 365 * 24 * kHour;
  const Firing late = hourly.fire(kSetAt + year);
  ASSERT_EQ(late.what, Fired::tick);
  EXPECT_EQ(late.tick.number, 365u * 24);
  EXPECT_EQ(late.tick.missed, 365u * 24 - 2);
  EXPECT_EQ(late.tick.nominal_ms, kSetAt + year - 34 * kMinute);
  EXPECT_EQ(hourly.timer.next_ms, kSetAt + year + 26 * kMinute);

  auto all = cron({.schedule = "@hourly", .missed = EveryOptions::Missed::all});
  for (std::uint64_t i = 1; i <= 3; ++i) {
    const Firing each = all.fire(kSetAt + year);
    EXPECT_EQ(each.tick.number, i);
    EXPECT_EQ(each.tick.nominal_ms,
              kSetAt + 26 * kMinute + static_cast<std::int64_t>(i - 1) * kHour);
    EXPECT_TRUE(go_on(all.timer, kSetAt + year));
  }

  auto skip = cron({.schedule = "@hourly", .missed = EveryOptions::Missed::skip});
  EXPECT_EQ(skip.fire(kSetAt + year).what, Fired::later);
  const Firing on_time = skip.fire(skip.timer.next_ms);
  EXPECT_EQ(on_time.tick.number, 365u * 24 + 1);
  EXPECT_EQ(on_time.tick.missed, 365u * 24);
}

// The data of two zones stand for two versions of those of one, in which a country has done away
// with summer time.
TEST(Timers, hosts_with_other_data_of_a_zone_send_one_tick_of_a_day) {
  const CronTimes hosts[] = {*CronTimes::make("30 17 * * *", "Europe/Berlin"),
                             *CronTimes::make("30 17 * * *", "Europe/London")};
  for (const std::uint64_t pattern : {0x0000u, 0x5555u, 0x3333u, 0xf0f1u, 0x1248u, 0xffffu}) {
    auto daily = cron({.schedule = "30 17 * * *", .zone = "Europe/Berlin"});
    for (std::uint64_t day = 1; day <= 16; ++day) {
      const CronTimes& host = hosts[(pattern >> day) & 1];
      const std::int64_t now_ms = daily.timer.next_ms;
      const Firing firing = fire_timer(daily.timer, "t", now_ms, &host);
      ASSERT_EQ(firing.what, Fired::tick);
      EXPECT_EQ(firing.tick.number, day);
      EXPECT_EQ(firing.tick.missed, 0u);
      const std::int64_t in_berlin =
          kSetAt + 236 * kMinute + static_cast<std::int64_t>(day - 1) * 24 * kHour;
      EXPECT_TRUE(now_ms == in_berlin || now_ms == in_berlin + kHour) << day << ", " << pattern;
      EXPECT_TRUE(go_on(daily.timer, now_ms));
    }
  }
}

// As this program wrote it before it knew schedules.
TEST(Timers, a_row_from_before_schedules_is_read_as_it_was_written) {
  Bytes row(Versionstamp::complete(7, 0, 0).bytes());
  row += "\x8f\x01\x02\x18\x64\xf6\x00\x00\xf6\x09"sv;
  row += "\x64Ring\x41\xf6\x19\x04\x4c\x04\x03\x02\x03"sv;
  const auto read = TimerRecord::decode(row);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->spec.kind, TimerSpec::Kind::every);
  EXPECT_EQ(read->spec.span_ms, 100);
  EXPECT_EQ(read->spec.max_count, 9u);
  EXPECT_EQ(read->next_ms, 1'100);
  EXPECT_EQ(read->next_number, 4u);
  EXPECT_EQ(read->ticks, 3u);
  EXPECT_EQ(read->missed, 2u);
  EXPECT_EQ(read->queued, 3u);
  EXPECT_FALSE(read->is_paused);
  EXPECT_EQ(read->encode(), row);
}

TEST(Timers, a_calendar_timer_ends_at_its_time_or_its_count) {
  CronOptions options{.schedule = "@hourly"};
  options.until = timer_time(kSetAt + 2 * kHour);
  auto ending = cron(options);
  const Firing late = ending.fire(kSetAt + 100 * kHour);
  EXPECT_EQ(late.tick.number, 2u);
  EXPECT_FALSE(go_on(ending.timer, kSetAt + 100 * kHour));

  auto counted = cron({.schedule = "@hourly", .max_count = 1});
  EXPECT_EQ(counted.fire(counted.timer.next_ms).what, Fired::tick);
  EXPECT_FALSE(go_on(counted.timer, counted.timer.next_ms));
}

TEST(Timers, a_calendar_timer_is_written_in_a_format_that_older_programs_refuse) {
  CronOptions options{.schedule = "30 17 * * mon-fri", .zone = "Europe/Berlin"};
  options.jitter = 90s;
  options.until = timer_time(kSetAt * 2);
  auto timer = cron(options).timer;
  timer.is_paused = true;
  timer.resumed_ms = 4'711;
  const Bytes row = timer.encode();
  const auto read = TimerRecord::decode(row);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_TRUE(is_same_timer(read->spec, timer.spec));
  EXPECT_EQ(read->seed, 77u);
  EXPECT_TRUE(read->is_paused);
  EXPECT_EQ(read->resumed_ms, 4'711);
  EXPECT_EQ(read->encode(), row);
  EXPECT_EQ(row[Versionstamp::size + 1], 2) << "a format that older programs refuse";
  for (std::size_t size = 0; size < row.size(); ++size) {
    EXPECT_FALSE(TimerRecord::decode(BytesView(row).substr(0, size))) << size;
  }
  timer.shown = 1'000'000'000'000;  // no year that there is
  EXPECT_EQ(TimerRecord::decode(timer.encode()).error().kind(), ErrorKind::corrupt);
  // One of the kinds that older programs know is written as they do, until it needs more.
  TimerRecord plain = every({.period = 100ms});
  EXPECT_EQ(plain.encode()[Versionstamp::size + 1], 1);
  plain.is_paused = true;
  EXPECT_EQ(plain.encode()[Versionstamp::size + 1], 2);
  EXPECT_FALSE(is_same_timer(timer.spec,
                             *timer_cron({.schedule = "30 17 * * mon-fri"}, message(), kLimits)));
}

TEST(Timers, a_delayed_cast_with_a_key_is_written_in_a_format_that_older_programs_refuse) {
  const auto key = std::make_shared<const MessageKey>(MessageKey{"once", 1000, Bytes(16, 'f')});
  auto spec = timer_after(100ms, message(), kLimits);
  ASSERT_TRUE(spec);
  TimerRecord timer = begin_timer(std::move(*spec), 1'000);
  timer.stamp = Versionstamp::complete(7, 0, 0);
  EXPECT_EQ(timer.encode()[Versionstamp::size + 1], 1);
  timer.spec.key = key;
  MessageTrace trace;
  trace.context = *TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
  for (const bool is_traced : {false, true}) {
    if (is_traced) timer.spec.message.trace = std::make_shared<const MessageTrace>(trace);
    const Bytes row = timer.encode();
    EXPECT_EQ(row[Versionstamp::size + 2], 3);
    const auto read = TimerRecord::decode(row);
    ASSERT_TRUE(read) << read.error().to_string();
    ASSERT_TRUE(read->spec.key);
    EXPECT_EQ(*read->spec.key, *key);
    EXPECT_EQ(read->spec.message.trace != nullptr, is_traced);
    EXPECT_EQ(read->encode(), row);
    for (std::size_t size = 0; size < row.size(); ++size) {
      EXPECT_FALSE(TimerRecord::decode(BytesView(row).substr(0, size))) << size;
    }
  }
}

TEST(Timers, jitter_has_a_bound_and_shifts_no_schedule) {
  auto spec = timer_every({.period = 100ms, .jitter = 60ms}, message(), kLimits);
  ASSERT_TRUE(spec);
  TimerRequest request;
  request.spec = *spec;
  request.seed = 4'711;
  TimerRecord timer = begin_timer(std::move(request), 1'000);
  timer.stamp = Versionstamp::complete(7, 0, 0);
  std::set<std::int64_t> seen;
  for (int i = 1; i <= 50; ++i) {
    const std::int64_t due = 1'000 + i * 100;
    EXPECT_GE(timer.next_ms, due);
    EXPECT_LE(timer.next_ms, due + 60);
    seen.insert(timer.next_ms - due);
    const Firing firing = fire_timer(timer, "t", timer.next_ms);
    EXPECT_EQ(firing.tick.nominal_ms, due);
    EXPECT_EQ(firing.tick.missed, 0u);
    EXPECT_TRUE(go_on(timer, timer.next_ms));
  }
  EXPECT_GT(seen.size(), 20u) << "each tick has a chance of its own";
}

TEST(Timers, a_paused_timer_stands_still_and_makes_up_for_nothing) {
  TimerRecord timer = every({.period = 100ms});
  const Firing first = fire_timer(timer, "t", 1'250);
  EXPECT_EQ(first.tick.missed, 1u);
  timer.is_paused = true;
  take_back(timer, first.tick);
  EXPECT_FALSE(timer.is_indexed());
  EXPECT_EQ(timer.ticks, 0u) << "max_count counts those that are handled";
  resume(timer, 1'550);
  EXPECT_TRUE(timer.is_indexed());
  EXPECT_EQ(fire_timer(timer, "t", 1'550).what, Fired::later);
  EXPECT_EQ(timer.next_ms, 1'600);
  const Firing next = fire_timer(timer, "t", 1'600);
  EXPECT_EQ(next.tick.number, 6u);
  EXPECT_EQ(next.tick.missed, 5u) << "the two of the tick that was taken back, and three more";

  auto daily = cron({.schedule = "@daily"});
  daily.timer.is_paused = true;
  resume(daily.timer, kSetAt + 75 * kHour);
  EXPECT_EQ(daily.fire(kSetAt + 75 * kHour).what, Fired::later);
  EXPECT_EQ(daily.timer.next_number, 4u);
  EXPECT_GT(daily.timer.next_ms, kSetAt + 75 * kHour);
}

TEST(Timers, a_timer_of_a_single_tick_keeps_it_while_it_is_paused) {
  TimerRecord timer = begin_timer(*timer_after(5ms, message(), kLimits), 1'000);
  timer.stamp = Versionstamp::complete(7, 0, 0);
  const Firing first = fire_timer(timer, "t", 1'005);
  timer.is_paused = true;
  take_back(timer, first.tick);
  resume(timer, 9'000);
  const Firing again = fire_timer(timer, "t", 9'000);
  ASSERT_EQ(again.what, Fired::tick);
  EXPECT_EQ(again.tick.number, 1u);
  EXPECT_FALSE(go_on(timer, 9'000));
}

TEST(Timers, a_triggered_tick_moves_no_schedule_and_comes_alone) {
  TimerRecord timer = every({.period = 100ms});
  const auto now = trigger_timer(timer, "t", 1'042);
  ASSERT_TRUE(now);
  EXPECT_TRUE(is_triggered(*now));
  EXPECT_FALSE(timer.is_indexed());
  EXPECT_FALSE(trigger_timer(timer, "t", 1'043)) << "one waits already";
  EXPECT_EQ(TimerRecord::decode(timer.encode())->queued, now->number);
  EXPECT_TRUE(go_on(timer, 1'050));
  EXPECT_EQ(timer.next_ms, 1'100);
  const Firing next = fire_timer(timer, "t", 1'100);
  EXPECT_EQ(next.tick.number, 1u);
  EXPECT_EQ(next.tick.missed, 0u);
  EXPECT_TRUE(go_on(timer, 1'100));
  const auto second = trigger_timer(timer, "t", 1'150);
  ASSERT_TRUE(second);
  EXPECT_NE(second->number, now->number);
}

TEST(Timers, invalid_timers_are_refused) {
  EXPECT_EQ(timer_every({.period = 1s, .jitter = 1s}, message(), kLimits).error().kind(),
            ErrorKind::invalid_argument);
  EXPECT_FALSE(timer_every({.period = 48h, .jitter = 25h}, message(), kLimits));
  EXPECT_FALSE(timer_cron({.schedule = "@daily", .jitter = -1s}, message(), kLimits));
  EXPECT_FALSE(first_cron_ms(*timer_cron({.schedule = "61 * * * *"}, message(), kLimits), 0));
  EXPECT_EQ(timer_every({}, message(), kLimits).error().kind(), ErrorKind::invalid_argument);
  EXPECT_EQ(timer_every({.period = 1us}, message(), kLimits).error().kind(),
            ErrorKind::invalid_argument);
  const RawMessage large{"Ring", Bytes(kTimerMessageBytes + 1, 'x')};
  EXPECT_STREQ(timer_after(1s, large, kLimits).error().limit()->name, "kTimerMessageBytes");
  EXPECT_FALSE(check_timer_name(""));
  EXPECT_FALSE(check_timer_name("\xff"));
  EXPECT_FALSE(check_timer_name(std::string(kTimerNameBytesMaximum + 1, 'n')));
  EXPECT_TRUE(check_timer_name(std::string(kTimerNameBytesMaximum, 'n')));
}

TEST(Timers, a_key_of_the_due_index_names_its_timer) {
  const Bytes prefix = "p";
  const EntityId id{"Type", "an/id"};
  const EntityKeys keys(prefix, id);
  const Bytes key = keys.due(1'234'567'890'123, "name \xc3\xa4");
  const auto entry = entry_of_due_key(prefix, key);
  ASSERT_TRUE(entry) << entry.error().to_string();
  EXPECT_EQ(entry->due_ms, 1'234'567'890'123);
  EXPECT_EQ(entry->id, id.id);
  EXPECT_EQ(entry->timer, "name \xc3\xa4");
  EXPECT_EQ(key, due_key(prefix, id.type, shard_of(id.id), *entry));
  const auto until = [&](std::int64_t ms) {
    return due_range_until(prefix, id.type, shard_of(id.id), ms).contains(key);
  };
  EXPECT_TRUE(until(1'234'567'890'123));
  EXPECT_FALSE(until(1'234'567'890'122));
  EXPECT_LT(keys.due(255, "z"), keys.due(256, "a"));
  EXPECT_EQ(*name_of_timer_key(prefix, keys.timer("n")), "n");
  EXPECT_TRUE(keys.timers().contains(keys.timer("n")));
  for (const auto& range : keys.consumers_own()) {
    EXPECT_FALSE(range.contains(keys.timer("n")));
    EXPECT_FALSE(range.contains(keys.timer_count()));
  }
}

TEST(Timers, a_tick_keeps_its_content_on_the_queue_and_as_a_dead_letter) {
  const TickRecord tick{"t", Bytes(12, 'g'), 1'000, 1'007, 5, 2};
  SegmentWriter writer;
  writer.add(Event::cast, message(), {});
  writer.add(Event::cast, message(), {}, &tick);
  const auto read = decode_segment(writer.finish());
  ASSERT_TRUE(read) << read.error().to_string();
  ASSERT_EQ(read->size(), 2u);
  EXPECT_FALSE((*read)[0].tick);
  ASSERT_TRUE((*read)[1].tick);
  EXPECT_EQ(*(*read)[1].tick, tick);
  EXPECT_EQ((*read)[1].event, Event::cast);
  EXPECT_EQ((*read)[1].content.name, "Ring");
  const auto letter = decode_dead_letter(encode_dead_letter({(*read)[1], "why", 3}));
  ASSERT_TRUE(letter);
  EXPECT_EQ(*letter->message.tick, tick);
}

}  // namespace
}  // namespace semper::internal
