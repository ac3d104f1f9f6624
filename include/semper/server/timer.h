// Tick, EveryOptions: the durable timers of an entity, as its callbacks set and handle them.
// Orleans and Dapr call them reminders: they survive the process, the host and the machine.
//
// What for: order expiry, guard timers, cool-downs, reconciliation: "tell me later, whoever runs by
// then". When not: a wait within one process (sleep_for in env/clock.h), or thousands of ticks a
// second, because each tick is a queued message with its own commit.
//
//   void handle_cast(const Open& m, State& s, semper::Context& ctx) {
//     ctx.send_after("expiry", 24h, Expire{});                    // in this commit, or not at all
//     ctx.send_every("report", {.period = 1min}, Report{});
//   }
//   void handle_cast(const Paid&, State&, semper::Context& ctx) { ctx.cancel_timer("expiry"); }
//   void handle_cast(const Report&, State& s, semper::Context& ctx) {
//     s.missed += ctx.tick()->missed;
//   }
//
// A timer has a name, which is unique within the entity. Setting a timer is an upsert: the same
// name with the same spec (kind, times and message) leaves the timer as it is, with its original
// due time; a different spec replaces it. A due timer becomes a cast in the entity's durable queue,
// exactly once however many hosts there are. While a tick waits there, the timer sends no other. A
// timer that was cancelled or replaced never fires again, and a tick that already waits in the
// queue is dropped. A timer ends when its only or last tick is handled, but before the callback
// runs, so the callback may set it again. kill() deletes timers; reset() keeps them, as it keeps
// the queue. A tick whose callback keeps failing becomes a dead letter, and the timer keeps
// running.
//
// Due times are wall-clock times, in whole milliseconds, rounded up. Only the waiting uses the
// steady clock. If the wall clock jumps back, a tick comes late, but never twice; if it jumps
// forward, the ticks in between become due, and count as missed. Threads: values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "semper/base/time.h"

namespace semper {

// Timers of one entity, including delayed casts; beyond that, setting one is `exhausted`. Processes
// that send delayed casts at the same moment may exceed the bound by one each.
inline constexpr std::size_t kTimersPerEntity = 1'000;
// The length of a timer's name, which is UTF-8 and not empty.
inline constexpr std::size_t kTimerNameBytesMaximum = 255;
// How much later than its due time a tick may be sent on purpose (EveryOptions::jitter).
inline constexpr Duration kTimerJitterMaximum = std::chrono::hours(24);
// The size of a timer's encoded message.
inline constexpr std::size_t kTimerMessageBytes = 64u << 10;
// The shortest period.
inline constexpr Duration kTimerPeriodMinimum = std::chrono::milliseconds(1);

// What a callback knows about the tick that it handles (Context::tick).
struct Tick {
  std::string timer;         // its name
  WallTime nominal;          // when it was due, without jitter
  WallTime actual;           // when a host put it into the queue, by that host's wall clock
  std::uint64_t number = 1;  // 1 is the first due time; missed ones count; 0: trigger_timer's
  std::uint64_t missed = 0;  // due times between the previous tick and this one
};

struct EveryOptions {
  // The time from one due time to the next. Required.
  Duration period{};

  // The first due time, which anchors all others at a fixed rate; a time in the past is due at
  // once. Default: one period after the timer is set.
  std::optional<WallTime> first = std::nullopt;

  enum class Pace : std::uint8_t {
    fixed_rate,  // first + n * period, without drift
    fixed_delay  // one period after the previous tick was handled
  } pace = Pace::fixed_rate;

  // What happens to due times that passed while no host ran, or while the previous tick waited.
  // Default: one tick stands for all.
  enum class Missed : std::uint8_t {
    coalesce,  // one tick, for the last of them; Tick::missed says how many others there were
    all,       // a tick for each, one after the other
    skip       // no tick that is late by a period or more; the next tick counts them
  } missed = Missed::coalesce;

  // No due time after this. Default: no end.
  std::optional<WallTime> until = std::nullopt;

  // The number of ticks; 0: no end. Default: no end.
  std::uint64_t max_count = 0;

  // Each tick is sent later than it is due, by a random time up to this: for many timers that are
  // due at the same time. Less than the period, and at most kTimerJitterMaximum. Default: none.
  Duration jitter{};
};

}  // namespace semper
