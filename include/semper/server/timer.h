// Tick, EveryOptions: the durable timers of an entity, as its callbacks set and meet them. They are what
// Orleans and Dapr call reminders: they survive the process, the host and the machine.
//
// What for: order expiry, guard timers, cool-downs, reconciliation: "tell me later, whoever runs then".
// When not: a wait of one process (sleep_for in env/clock.h), or thousands of ticks a second: each tick is
// a queued message with its commit.
//
//   void handle_cast(const Open& m, State& s, semper::Context& ctx) {
//     ctx.send_after("expiry", 24h, Expire{});                    // in this commit, or not at all
//     ctx.send_every("report", {.period = 1min}, Report{});
//   }
//   void handle_cast(const Paid&, State&, semper::Context& ctx) { ctx.cancel_timer("expiry"); }
//   void handle_cast(const Report&, State& s, semper::Context& ctx) { s.missed += ctx.tick()->missed; }
//
// A timer has a name, its own within the entity. Setting it is an upsert: the same name with the same
// spec (kind, times and message) leaves the timer as it is, with its first due time; another spec
// replaces it. A due timer becomes a cast in the entity's durable queue, exactly once however many hosts
// there are. While a tick waits there, the timer sends no other. A timer that was cancelled or replaced
// never comes again: a tick of it that waits in the queue already is dropped. One that is over (a timer
// of one tick, or the last of several) ends when its tick is handled, before the callback runs: the
// callback may set it anew. kill() takes timers along, reset() leaves them, as it does the queue. A tick
// whose callback keeps failing becomes a dead letter, and the timer goes on.
//
// Due times are calendar times, in whole milliseconds, rounded up. Only the wait goes by the steady
// clock: a calendar that jumps back makes a tick late, never double; one that jumps forward makes ticks
// due, which then count as missed. Threads: values.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "semper/base/time.h"

namespace semper {

// Timers of one entity, named ones and delayed casts together; past that setting one is `exhausted`.
// Processes that send delayed casts at the same moment may exceed it by one each.
inline constexpr std::size_t kTimersPerEntity = 1'000;
// Of a timer's name, which is UTF-8 and not empty.
inline constexpr std::size_t kTimerNameBytesMaximum = 255;
// How much later than its due time a tick may be sent on purpose (EveryOptions::jitter).
inline constexpr Duration kTimerJitterMaximum = std::chrono::hours(24);
// Of a timer's encoded message.
inline constexpr std::size_t kTimerMessageBytes = 64u << 10;
// The shortest period.
inline constexpr Duration kTimerPeriodMinimum = std::chrono::milliseconds(1);

// What a callback knows of the tick that it handles (Context::tick).
struct Tick {
  std::string timer;         // its name
  WallTime nominal;          // when it was due, without jitter
  WallTime actual;           // when a host put it into the queue, by that host's calendar
  std::uint64_t number = 1;  // 1 is the first due time; missed ones count; 0: trigger_timer's
  std::uint64_t missed = 0;  // due times between the tick before and this one
};

struct EveryOptions {
  // From one due time to the next. Must be given.
  Duration period{};

  // The first due time, which anchors all others of a fixed rate; one in the past is due at once.
  // Default: one period after the timer is set.
  std::optional<WallTime> first = std::nullopt;

  enum class Pace : std::uint8_t {
    fixed_rate,  // first + n * period, without drift
    fixed_delay  // one period after the tick before was handled
  } pace = Pace::fixed_rate;

  // Due times that passed while no host ran, or while the tick before waited. Default: one tick for all.
  enum class Missed : std::uint8_t {
    coalesce,  // one tick, of the last of them; Tick::missed says how many others there were
    all,       // a tick for each, one after the other
    skip       // none that is late by a period or more; the next tick counts them
  } missed = Missed::coalesce;

  // No due time after this. Default: no end.
  std::optional<WallTime> until = std::nullopt;

  // Ticks sent; 0: no end. Default: no end.
  std::uint64_t max_count = 0;

  // Each tick is sent later than it is due, by a random time up to this: for many timers that are due at
  // one time. Less than the period, at most kTimerJitterMaximum. Default: none.
  Duration jitter{};
};

}  // namespace semper
