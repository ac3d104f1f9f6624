#include "server/format/timers.h"

#include <gtest/gtest.h>

#include "semper/base/cbor.h"
#include "server/format/keys.h"

namespace semper::internal {
namespace {

using namespace std::chrono_literals;

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

TEST(Timers, a_fixed_rate_drifts_with_late_ticks) {
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

TEST(Timers, a_fixed_delay_begins_before_the_tick_was_handled) {
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

TEST(Timers, missed_ticks_are_sent_one_by_one_where_they_are_to_be_coalesced) {
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

TEST(Timers, all_missed_ticks_were_asked_for_and_one_is_left_out) {
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

TEST(Timers, a_late_tick_comes_although_late_ones_are_to_be_skipped) {
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

TEST(Timers, one_goes_on_past_its_end) {
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

TEST(Timers, one_of_a_single_tick_goes_on) {
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

TEST(Timers, a_time_overflows_or_is_rounded_to_earlier) {
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

TEST(Timers, what_is_written_is_read_as_another) {
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

TEST(Timers, a_damaged_row_is_read) {
  const Bytes whole = every({.period = 100ms}).encode();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto read = TimerRecord::decode(BytesView(whole).substr(0, size));
    ASSERT_FALSE(read) << size;
    EXPECT_EQ(read.error().kind(), ErrorKind::corrupt);
  }
  Bytes newer = whole;
  newer[Versionstamp::size + 1] = 2;  // the format
  EXPECT_EQ(TimerRecord::decode(newer).error().kind(), ErrorKind::unsupported);
}

TEST(Timers, one_with_another_spec_counts_as_the_same) {
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

TEST(Timers, what_cannot_be_set_is_set) {
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

TEST(Timers, a_key_of_the_due_index_names_another_timer) {
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

TEST(Timers, a_tick_on_the_queue_loses_what_it_says) {
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
