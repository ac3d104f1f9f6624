// Timers as they lie in the store, and what time makes of them. Nothing here reads or writes a
// store.
//
// A timer is either waiting for its time, and then has an entry in the due index, or its tick waits
// in the entity's queue, and then it has none: it gets the next one when the tick is handled. So no
// timer has two ticks in a queue, however long nobody takes them. Its generation is the stamp of
// the commit that set it: a tick of another one is dropped (timer_book.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "semper/server/cron.h"
#include "semper/server/internal/timer_request.h"
#include "semper/store/limits.h"
#include "semper/store/versionstamp.h"
#include "server/calendar/cron_times.h"
#include "server/format/records.h"

namespace semper::internal {

// Milliseconds of the calendar, rounded up, at least 0.
std::int64_t to_timer_ms(WallTime when);
std::int64_t to_timer_ms(Duration span);
WallTime timer_time(std::int64_t ms);

// What a callback or a Ref asks for, or why it cannot be (invalid_argument, exhausted).
Status check_timer_name(std::string_view name);
Result<TimerSpec> timer_after(Duration delay, RawMessage message, const Limits& limits);
Result<TimerSpec> timer_at(WallTime when, RawMessage message, const Limits& limits);
Result<TimerSpec> timer_every(const EveryOptions& options, RawMessage message,
                              const Limits& limits);
Result<TimerSpec> timer_cron(const CronOptions& options, RawMessage message, const Limits& limits);
// Of such a one, set now. Errors: what is wrong with its schedule or its zone.
Result<std::int64_t> first_cron_ms(const TimerSpec& spec, std::int64_t now_ms);
// Setting the one leaves a timer of the other as it is.
bool is_same_timer(const TimerSpec& a, const TimerSpec& b);

// (1, type, id, 13, name). Its first 10 bytes are the stamp of the commit that set it.
struct TimerRecord {
  static constexpr std::uint64_t kFormat = 3;

  Versionstamp stamp;  // filled by the store; incomplete while encoding a new one
  TimerSpec spec;
  std::int64_t next_ms = 0;       // the next due time
  std::uint64_t next_number = 1;  // of that one
  std::uint64_t ticks = 0;        // put into the queue so far
  std::uint64_t missed = 0;       // due times since the last of those
  std::uint64_t queued = 0;       // the number of the tick that waits in the queue; 0: none does
  std::uint64_t seed = 0;         // of its jitter
  bool is_paused = false;
  std::int64_t resumed_ms = 0;  // no tick of a due time until then, but of a timer of one tick
  std::int64_t shown = 0;       // with a schedule: what the clocks show at its next due time

  bool is_indexed() const { return queued == 0 && !is_paused; }
  Bytes generation() const { return Bytes(stamp.bytes()); }

  Bytes encode() const;
  static Result<TimerRecord> decode(BytesView bytes);
};

TimerRecord begin_timer(TimerSpec spec, std::int64_t now_ms);
// With what a request that sets one says besides.
TimerRecord begin_timer(TimerRequest request, std::int64_t now_ms);

// A timer whose time has come, by this calendar: it sends a tick, or goes on without one, or is
// over.
enum class Fired : std::uint8_t { tick, later, over };
struct Firing {
  Fired what = Fired::later;
  TickRecord tick;
};
// With its due times, where it is one by the calendar (cron_times_of).
Firing fire_timer(TimerRecord& timer, std::string_view name, std::int64_t now_ms,
                  const CronTimes* cron = nullptr);
// None: it is of another kind. Error not_found: this machine does not know its zone.
Result<std::optional<CronTimes>> cron_times_of(const TimerSpec& spec);

// A tick that no due time sent has this in its number, and how many there have been.
inline constexpr std::uint64_t kTriggeredTick = std::uint64_t{1} << 63;
inline bool is_triggered(const TickRecord& tick) {
  return (tick.number & kTriggeredTick) != 0;
}
// Sends one now. None: one waits already.
std::optional<TickRecord> trigger_timer(TimerRecord& timer, std::string_view name,
                                        std::int64_t now_ms);

// Its tick, which waits in the queue, is dropped, for it is paused: as if it had not been sent.
void take_back(TimerRecord& timer, const TickRecord& tick);
void resume(TimerRecord& timer, std::int64_t now_ms);

// Its tick is handled now. False: it was the last one.
bool go_on(TimerRecord& timer, std::int64_t now_ms);

}  // namespace semper::internal
