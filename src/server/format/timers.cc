#include "server/format/timers.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "semper/base/assert.h"
#include "semper/base/cbor.h"
#include "semper/base/internal/mutant.h"
#include "server/format/enqueue.h"
#include "server/format/message_trace.h"

namespace semper::internal {
namespace {

// The last whole millisecond that a WallTime can name, in the year 2262.
constexpr std::int64_t kLatestMs =
    std::chrono::duration_cast<std::chrono::milliseconds>(WallTime::max().time_since_epoch())
        .count() -
    1;
// Clocks differ by less, in seconds.
constexpr std::int64_t kCalendarSlack = 2 * 86'400;
// Elements of a timer's record. What needs more than the plain one has a format of its own, so that
// no older program takes it for something else.
constexpr std::uint64_t kPlainFormat = 1;
constexpr std::uint64_t kPlainElements = 15;
constexpr std::uint64_t kFullFormat = 2;
constexpr std::uint64_t kTimerElements = kPlainElements + 7;
// With an idempotency key: behind the elements of the full one its trace, or null, and the key.
constexpr std::uint64_t kKeyedFormat = TimerRecord::kFormat;
constexpr std::uint64_t kKeyedElements = kTimerElements + 2;

std::int64_t plus(std::int64_t at, std::int64_t span) {
  return span > kLatestMs - at ? kLatestMs : at + span;
}
// at + count * span.
std::int64_t plus(std::int64_t at, std::uint64_t count, std::int64_t span) {
  const auto most = static_cast<std::uint64_t>((kLatestMs - at) / std::max<std::int64_t>(span, 1));
  return count > most ? kLatestMs : at + static_cast<std::int64_t>(count) * span;
}

Status check_message(const RawMessage& message, const Limits& limits) {
  SEMPER_TRY_STATUS(check_message_size(message, {}, limits));
  if (message.payload.size() <= kTimerMessageBytes) return {};
  return fail(ErrorKind::exhausted, Limit{"kTimerMessageBytes", kTimerMessageBytes},
              "message " + message.name + " of " + std::to_string(message.payload.size()) +
                  " bytes is too large for a timer; keep it in the state and send its key");
}

// Due times of a fixed rate that are past, beside the next one, as far as `until` lets it go.
using Due = CronTimes::Due;

struct Past {
  std::uint64_t count = 0;
  Due last;  // of them; the next one, where there are none
};
Past past(const TimerSpec& spec, Due due, std::int64_t now_ms, const CronTimes* cron) {
  const std::int64_t last = std::min(now_ms, spec.until_ms.value_or(now_ms));
  if (last <= due.ms || spec.pace == EveryOptions::Pace::fixed_delay) return {0, due};
  if (cron == nullptr) {
    const auto count = static_cast<std::uint64_t>((last - due.ms) / spec.span_ms);
    return {count, {plus(due.ms, count, spec.span_ms), 0}};
  }
  const std::uint64_t count = cron->count(due, last);
  return {count, count > 0 ? cron->due_at(cron->last_ms(last)) : due};
}

Due next_due(const TimerSpec& spec, Due due, const CronTimes* cron) {
  if (cron == nullptr) return {plus(due.ms, spec.span_ms), 0};
  const Due next = cron->next(due);
  return {std::min(next.ms, kLatestMs), next.shown};
}

// How much later than it is due the tick of that number is sent. A chance of its own for each
// (splitmix64), which is the same in every attempt and on every host.
std::int64_t jitter_of(const TimerRecord& timer, std::uint64_t number) {
  if (timer.spec.jitter_ms <= 0) return 0;
  std::uint64_t chance = timer.seed + number * 0x9e3779b97f4a7c15u;
  chance = (chance ^ (chance >> 30)) * 0xbf58476d1ce4e5b9u;
  chance = (chance ^ (chance >> 27)) * 0x94d049bb133111ebu;
  chance ^= chance >> 31;
  return static_cast<std::int64_t>(chance % (static_cast<std::uint64_t>(timer.spec.jitter_ms) + 1));
}
// The due time of the next number, without jitter.
Due due_of(const TimerRecord& timer) {
  return {timer.next_ms - jitter_of(timer, timer.next_number), timer.shown};
}
void set_due(TimerRecord& timer, Due due) {
  timer.next_ms = plus(due.ms, jitter_of(timer, timer.next_number));
  timer.shown = due.shown;
}

// What all that repeat have in common.
template <class Options>
TimerSpec repeating(TimerSpec::Kind kind, const Options& options, RawMessage message) {
  TimerSpec spec;
  spec.kind = kind;
  spec.missed = options.missed;
  if (options.until) spec.until_ms = to_timer_ms(*options.until);
  spec.max_count = options.max_count;
  spec.jitter_ms = to_timer_ms(options.jitter);
  spec.message = std::move(message);
  return spec;
}

Status check_jitter(Duration jitter) {
  if (jitter >= Duration() && jitter <= kTimerJitterMaximum) return {};
  return fail(ErrorKind::invalid_argument,
              "a timer's jitter is not negative, and at most kTimerJitterMaximum, 24 h");
}

void write_optional(cbor::Writer& writer, const std::optional<std::int64_t>& number) {
  if (number) {
    writer.integer(*number);
  } else {
    writer.null();
  }
}
bool read_optional(cbor::Reader& reader, std::optional<std::int64_t>& number) {
  if (reader.peek() == cbor::Kind::null) return reader.read_null();
  return reader.read_signed(number.emplace());
}

template <class E>
bool read_kind(cbor::Reader& reader, E& kind, E last) {
  std::uint64_t number = 0;
  if (!reader.read_unsigned(number)) return false;
  if (number > static_cast<std::uint64_t>(last)) return reader.fail("a timer of no known kind");
  kind = static_cast<E>(number);
  return true;
}

bool read_more(cbor::Reader& reader, TimerRecord& timer) {
  std::string_view schedule;
  std::string_view zone;
  const bool ok = reader.read_text(schedule) && reader.read_text(zone) &&
                  reader.read_signed(timer.spec.jitter_ms) && reader.read_unsigned(timer.seed) &&
                  reader.read_boolean(timer.is_paused) && reader.read_signed(timer.resumed_ms) &&
                  reader.read_signed(timer.shown);
  timer.spec.schedule = schedule;
  timer.spec.zone = zone;
  return ok;
}

bool read_timer(cbor::Reader& reader, TimerRecord& timer, bool is_plain) {
  auto& spec = timer.spec;
  std::string_view name;
  BytesView payload;
  const auto last_kind = is_plain ? TimerSpec::Kind::every : TimerSpec::Kind::cron;
  const bool ok = read_kind(reader, spec.kind, last_kind) && reader.read_signed(spec.span_ms) &&
                  read_optional(reader, spec.first_ms) &&
                  read_kind(reader, spec.pace, EveryOptions::Pace::fixed_delay) &&
                  read_kind(reader, spec.missed, EveryOptions::Missed::skip) &&
                  read_optional(reader, spec.until_ms) && reader.read_unsigned(spec.max_count) &&
                  reader.read_text(name) && reader.read_bytes(payload) &&
                  reader.read_signed(timer.next_ms) && reader.read_unsigned(timer.next_number) &&
                  reader.read_unsigned(timer.ticks) && reader.read_unsigned(timer.missed) &&
                  reader.read_unsigned(timer.queued);
  if (!ok) return false;
  spec.message = {std::string(name), Bytes(payload)};
  if (!is_plain && !read_more(reader, timer)) return false;
  const bool fits = timer.next_ms >= 0 && timer.next_ms <= kLatestMs && spec.span_ms >= 0 &&
                    (spec.kind != TimerSpec::Kind::every || spec.span_ms > 0) &&
                    (spec.kind == TimerSpec::Kind::cron) == !spec.schedule.empty() &&
                    spec.jitter_ms >= 0 && spec.jitter_ms <= to_timer_ms(kTimerJitterMaximum) &&
                    timer.resumed_ms >= 0 && timer.resumed_ms <= kLatestMs &&
                    timer.shown >= -kCalendarSlack &&
                    timer.shown <= kLatestMs / 1'000 + kCalendarSlack;
  return fits || reader.fail("a timer whose numbers are none of ours");
}

}  // namespace

std::int64_t to_timer_ms(Duration span) {
  const auto whole = std::chrono::ceil<std::chrono::milliseconds>(std::max(span, Duration()));
  return std::min(whole.count(), kLatestMs);
}
std::int64_t to_timer_ms(WallTime when) {
  return to_timer_ms(Duration(when.time_since_epoch()));
}
WallTime timer_time(std::int64_t ms) {
  return WallTime(std::chrono::milliseconds(std::clamp<std::int64_t>(ms, 0, kLatestMs)));
}

Status check_timer_name(std::string_view name) {
  if (name.empty()) return fail(ErrorKind::invalid_argument, "a timer needs a name");
  if (name.size() > kTimerNameBytesMaximum) {
    return fail(ErrorKind::invalid_argument, "a timer's name of " + std::to_string(name.size()) +
                                                 " bytes is longer than " +
                                                 std::to_string(kTimerNameBytesMaximum));
  }
  if (!is_utf8(name)) {
    return fail(ErrorKind::invalid_argument,
                "the timer's name " + to_printable(name, 64) + " is not UTF-8");
  }
  return {};
}

Result<TimerSpec> timer_after(Duration delay, RawMessage message, const Limits& limits) {
  SEMPER_TRY_STATUS(check_message(message, limits));
  TimerSpec spec;
  spec.span_ms = to_timer_ms(delay);
  spec.message = std::move(message);
  return spec;
}

Result<TimerSpec> timer_at(WallTime when, RawMessage message, const Limits& limits) {
  SEMPER_TRY_STATUS(check_message(message, limits));
  TimerSpec spec;
  spec.kind = TimerSpec::Kind::at;
  spec.first_ms = to_timer_ms(when);
  spec.message = std::move(message);
  return spec;
}

Result<TimerSpec> timer_every(const EveryOptions& options, RawMessage message,
                              const Limits& limits) {
  SEMPER_TRY_STATUS(check_message(message, limits));
  if (options.period < kTimerPeriodMinimum) {
    return fail(ErrorKind::invalid_argument,
                "a timer's period is at least kTimerPeriodMinimum, 1 ms; give "
                "EveryOptions::period");
  }
  SEMPER_TRY_STATUS(check_jitter(options.jitter));
  if (options.jitter >= options.period) {
    return fail(ErrorKind::invalid_argument, "a timer's jitter is less than its period");
  }
  TimerSpec spec = repeating(TimerSpec::Kind::every, options, std::move(message));
  spec.span_ms = to_timer_ms(options.period);
  if (options.first) spec.first_ms = to_timer_ms(*options.first);
  spec.pace = options.pace;
  return spec;
}

Result<TimerSpec> timer_cron(const CronOptions& options, RawMessage message, const Limits& limits) {
  SEMPER_TRY_STATUS(check_message(message, limits));
  SEMPER_TRY_STATUS(check_jitter(options.jitter));
  TimerSpec spec = repeating(TimerSpec::Kind::cron, options, std::move(message));
  spec.schedule = options.schedule;
  spec.zone = options.zone;
  return spec;
}

Result<std::optional<CronTimes>> cron_times_of(const TimerSpec& spec) {
  if (spec.kind != TimerSpec::Kind::cron) return std::nullopt;
  return CronTimes::make(spec.schedule, spec.zone);
}

Result<std::int64_t> first_cron_ms(const TimerSpec& spec, std::int64_t now_ms) {
  SEMPER_TRY(const auto cron, CronTimes::make(spec.schedule, spec.zone));
  return std::min(cron.next_ms(now_ms), kLatestMs);
}

bool is_same_timer(const TimerSpec& a, const TimerSpec& b) {
  return a.kind == b.kind && a.span_ms == b.span_ms && a.first_ms == b.first_ms &&
         a.pace == b.pace && a.missed == b.missed && a.until_ms == b.until_ms &&
         a.max_count == b.max_count && a.jitter_ms == b.jitter_ms && a.schedule == b.schedule &&
         a.zone == b.zone && a.message.name == b.message.name &&
         a.message.payload == b.message.payload;
}

Bytes TimerRecord::encode() const {
  Bytes out(stamp.bytes());
  cbor::Writer writer(out);
  const bool is_plain = spec.kind != TimerSpec::Kind::cron && spec.jitter_ms == 0 && !is_paused &&
                        resumed_ms == 0 && queued < kTriggeredTick && !spec.key;
  const auto& trace = spec.message.trace;
  if (spec.key) {
    writer.array(kKeyedElements);
  } else {
    writer.array((is_plain ? kPlainElements : kTimerElements) + (trace ? 1 : 0));
  }
  writer.unsigned_integer(is_plain ? kPlainFormat : spec.key ? kKeyedFormat : kFullFormat);
  writer.unsigned_integer(static_cast<std::uint64_t>(spec.kind));
  writer.integer(spec.span_ms);
  write_optional(writer, spec.first_ms);
  writer.unsigned_integer(static_cast<std::uint64_t>(spec.pace));
  writer.unsigned_integer(static_cast<std::uint64_t>(spec.missed));
  write_optional(writer, spec.until_ms);
  writer.unsigned_integer(spec.max_count);
  writer.text(spec.message.name);
  writer.bytes(spec.message.payload);
  writer.integer(next_ms);
  writer.unsigned_integer(next_number);
  writer.unsigned_integer(ticks);
  writer.unsigned_integer(missed);
  writer.unsigned_integer(queued);
  if (is_plain && trace) write_trace(writer, *trace);
  if (is_plain) return out;
  writer.text(spec.schedule);
  writer.text(spec.zone);
  writer.integer(spec.jitter_ms);
  writer.unsigned_integer(seed);
  writer.boolean(is_paused);
  writer.integer(resumed_ms);
  writer.integer(shown);
  if (trace) {
    write_trace(writer, *trace);
  } else if (spec.key) {
    writer.null();
  }
  if (spec.key) write_key(writer, *spec.key);
  return out;
}

Result<TimerRecord> TimerRecord::decode(BytesView bytes) {
  TimerRecord timer;
  if (bytes.size() < Versionstamp::size) {
    return fail(ErrorKind::corrupt, "timer: only " + std::to_string(bytes.size()) + " bytes");
  }
  SEMPER_TRY(timer.stamp, Versionstamp::from_bytes(bytes.substr(0, Versionstamp::size)));
  cbor::Reader reader(bytes.substr(Versionstamp::size));
  std::uint64_t elements = 0;
  std::uint64_t format = 0;
  bool ok = reader.read_array(elements) && reader.read_unsigned(format);
  if (ok && format > kFormat) {
    return fail(ErrorKind::unsupported, "timer: format " + std::to_string(format) +
                                            " was written by a newer version of Semper; update "
                                            "this program");
  }
  const bool is_plain = format <= kPlainFormat;
  const bool is_keyed = format == kKeyedFormat;
  const std::uint64_t known = is_plain ? kPlainElements : kTimerElements;
  if (ok && elements < (is_keyed ? kKeyedElements : known)) {
    ok = reader.fail("a timer of too few elements");
  }
  ok = ok && read_timer(reader, timer, is_plain);
  // Its trace, and what a later version adds.
  std::uint64_t read = known;
  if (ok && elements > read) {
    const bool has_none = is_keyed && reader.peek() == cbor::Kind::null;
    ok = has_none ? reader.read_null() : read_trace(reader, timer.spec.message.trace);
    ++read;
  }
  if (ok && is_keyed) {
    ok = read_key(reader, timer.spec.key);
    ++read;
  }
  for (std::uint64_t i = read; ok && i < elements; ++i) ok = reader.skip();
  if (!ok || !reader.finish()) {
    return fail(Error(ErrorKind::corrupt, reader.error().message()).in("timer"));
  }
  return timer;
}

TimerRecord begin_timer(TimerSpec spec, std::int64_t now_ms) {
  TimerRecord timer;
  timer.stamp = Versionstamp::incomplete(0);
  timer.next_ms = spec.first_ms ? *spec.first_ms : plus(now_ms, spec.span_ms);
  timer.spec = std::move(spec);
  return timer;
}

TimerRecord begin_timer(TimerRequest request, std::int64_t now_ms) {
  TimerRecord timer = begin_timer(std::move(*request.spec), now_ms);
  timer.seed = request.seed;
  Due first{timer.next_ms, 0};
  if (timer.spec.kind == TimerSpec::Kind::cron) {
    const auto cron = cron_times_of(timer.spec);
    SEMPER_ASSERT(cron && *cron, "the request was made with this schedule, in this process");
    first = (*cron)->due_at(request.cron_ms);
  }
  set_due(timer, first);
  return timer;
}

namespace {

// Goes past due times that send no tick: to the next one, or its end.
Firing pass(TimerRecord& timer, std::uint64_t count, Due next) {
  timer.next_number += count;
  timer.missed += count;
  set_due(timer, next);
  Firing firing;
  const bool is_over = timer.spec.until_ms && next.ms > *timer.spec.until_ms;
  firing.what = is_over ? Fired::over : Fired::later;
  return firing;
}

}  // namespace

Firing fire_timer(TimerRecord& timer, std::string_view name, std::int64_t now_ms,
                  const CronTimes* cron) {
  const auto& spec = timer.spec;
  const bool repeats = spec.repeats();
  Firing firing;
  Due due = due_of(timer);
  if (repeats && spec.until_ms && due.ms > *spec.until_ms) {
    firing.what = Fired::over;
    return firing;
  }
  const std::int64_t resumed_ms = std::exchange(timer.resumed_ms, 0);
  if (repeats && due.ms <= resumed_ms) {
    const Past paused = past(spec, due, resumed_ms, cron);
    const bool is_delay = spec.pace == EveryOptions::Pace::fixed_delay;
    const Due last = is_delay ? Due{resumed_ms, 0} : paused.last;
    return pass(timer, paused.count + 1, next_due(spec, last, cron));
  }
  const bool takes_all = !repeats || spec.missed == EveryOptions::Missed::all;
  Past passed{0, due};
  if (!takes_all) passed = past(spec, due, now_ms, cron);
  if (SEMPER_MUTANT("server_timer_missed_ticks_not_counted") && passed.count > 0) --passed.count;
  due = passed.last;
  if (spec.missed == EveryOptions::Missed::skip && passed.count > 0) {
    return pass(timer, passed.count + 1, next_due(spec, due, cron));
  }
  timer.next_number += passed.count;
  firing.what = Fired::tick;
  firing.tick = {std::string(name), timer.generation(),         due.ms, now_ms,
                 timer.next_number, timer.missed + passed.count};
  timer.queued = timer.next_number;
  timer.missed = 0;
  ++timer.ticks;
  // One of a single tick keeps its time, in case the tick is taken back.
  if (!repeats) return firing;
  ++timer.next_number;
  set_due(timer, next_due(spec, due, cron));
  return firing;
}

std::optional<TickRecord> trigger_timer(TimerRecord& timer, std::string_view name,
                                        std::int64_t now_ms) {
  if (timer.queued != 0 && !SEMPER_MUTANT("server_timer_triggered_twice")) return std::nullopt;
  timer.queued = kTriggeredTick + ++timer.ticks;
  return TickRecord{std::string(name), timer.generation(), now_ms, now_ms, timer.queued, 0};
}

void take_back(TimerRecord& timer, const TickRecord& tick) {
  timer.queued = 0;
  --timer.ticks;
  if (!timer.spec.repeats()) return;
  timer.missed += tick.missed + 1;
}

void resume(TimerRecord& timer, std::int64_t now_ms) {
  timer.is_paused = false;
  if (timer.spec.repeats()) timer.resumed_ms = now_ms;
}

bool go_on(TimerRecord& timer, std::int64_t now_ms) {
  const auto& spec = timer.spec;
  timer.queued = 0;
  if (!spec.repeats()) return false;
  if (spec.max_count > 0 && timer.ticks >= spec.max_count) return false;
  if (spec.pace == EveryOptions::Pace::fixed_delay) {
    set_due(timer, {plus(now_ms, spec.span_ms), 0});
  }
  return !spec.until_ms || due_of(timer).ms <= *spec.until_ms;
}

}  // namespace semper::internal

namespace semper {

Result<std::optional<WallTime>> next_cron_time(const CronOptions& options, WallTime after) {
  SEMPER_TRY(const auto cron, internal::CronTimes::make(options.schedule, options.zone));
  const auto whole = std::chrono::floor<std::chrono::milliseconds>(after.time_since_epoch());
  const std::int64_t next_ms = cron.next_ms(std::max<std::int64_t>(whole.count(), 0));
  if (next_ms > internal::kLatestMs) return std::nullopt;
  const WallTime next = internal::timer_time(next_ms);
  if (options.until && next > *options.until) return std::nullopt;
  return next;
}

}  // namespace semper
