#include "server/format/timers.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "semper/base/cbor.h"
#include "semper/base/internal/mutant.h"
#include "server/format/enqueue.h"

namespace semper::internal {
namespace {

using std::chrono::milliseconds;

// The last whole millisecond that a WallTime can name, in the year 2262.
constexpr std::int64_t kLatestMs =
    std::chrono::duration_cast<milliseconds>(WallTime::max().time_since_epoch()).count() - 1;
// Elements of a timer's record.
constexpr std::uint64_t kTimerElements = 15;

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
std::uint64_t past(const TimerRecord& timer, std::int64_t now_ms) {
  if (timer.spec.pace == EveryOptions::Pace::fixed_delay) return 0;
  const std::int64_t last = std::min(now_ms, timer.spec.until_ms.value_or(now_ms));
  if (last <= timer.next_ms) return 0;
  return static_cast<std::uint64_t>((last - timer.next_ms) / timer.spec.span_ms);
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

bool read_timer(cbor::Reader& reader, TimerRecord& timer) {
  auto& spec = timer.spec;
  std::string_view name;
  BytesView payload;
  const bool ok = read_kind(reader, spec.kind, TimerSpec::Kind::every) &&
                  reader.read_signed(spec.span_ms) && read_optional(reader, spec.first_ms) &&
                  read_kind(reader, spec.pace, EveryOptions::Pace::fixed_delay) &&
                  read_kind(reader, spec.missed, EveryOptions::Missed::skip) &&
                  read_optional(reader, spec.until_ms) && reader.read_unsigned(spec.max_count) &&
                  reader.read_text(name) && reader.read_bytes(payload) &&
                  reader.read_signed(timer.next_ms) && reader.read_unsigned(timer.next_number) &&
                  reader.read_unsigned(timer.ticks) && reader.read_unsigned(timer.missed) &&
                  reader.read_unsigned(timer.queued);
  if (!ok) return false;
  spec.message = {std::string(name), Bytes(payload)};
  const bool fits = timer.next_ms >= 0 && timer.next_ms <= kLatestMs && spec.span_ms >= 0 &&
                    (spec.kind != TimerSpec::Kind::every || spec.span_ms > 0);
  return fits || reader.fail("a timer whose numbers are none of ours");
}

}  // namespace

std::int64_t to_timer_ms(Duration span) {
  const auto whole = std::chrono::ceil<milliseconds>(std::max(span, Duration()));
  return std::min(whole.count(), kLatestMs);
}
std::int64_t to_timer_ms(WallTime when) {
  return to_timer_ms(Duration(when.time_since_epoch()));
}
WallTime timer_time(std::int64_t ms) {
  return WallTime(milliseconds(std::clamp<std::int64_t>(ms, 0, kLatestMs)));
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
  TimerSpec spec;
  spec.kind = TimerSpec::Kind::every;
  spec.span_ms = to_timer_ms(options.period);
  if (options.first) spec.first_ms = to_timer_ms(*options.first);
  spec.pace = options.pace;
  spec.missed = options.missed;
  if (options.until) spec.until_ms = to_timer_ms(*options.until);
  spec.max_count = options.max_count;
  spec.message = std::move(message);
  return spec;
}

bool is_same_timer(const TimerSpec& a, const TimerSpec& b) {
  return a.kind == b.kind && a.span_ms == b.span_ms && a.first_ms == b.first_ms &&
         a.pace == b.pace && a.missed == b.missed && a.until_ms == b.until_ms &&
         a.max_count == b.max_count && a.message.name == b.message.name &&
         a.message.payload == b.message.payload;
}

Bytes TimerRecord::encode() const {
  Bytes out(stamp.bytes());
  cbor::Writer writer(out);
  writer.array(kTimerElements);
  writer.unsigned_integer(kFormat);
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
  if (ok && elements < kTimerElements) ok = reader.fail("a timer of too few elements");
  ok = ok && read_timer(reader, timer);
  for (std::uint64_t i = kTimerElements; ok && i < elements; ++i) ok = reader.skip();
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

Firing fire_timer(TimerRecord& timer, std::string_view name, std::int64_t now_ms) {
  const auto& spec = timer.spec;
  const bool repeats = spec.kind == TimerSpec::Kind::every;
  Firing firing;
  if (repeats && spec.until_ms && timer.next_ms > *spec.until_ms) {
    firing.what = Fired::over;
    return firing;
  }
  std::uint64_t passed = repeats ? past(timer, now_ms) : 0;
  if (spec.missed == EveryOptions::Missed::all) passed = 0;
  if (SEMPER_MUTANT("server_timer_missed_ticks_not_counted") && passed > 0) --passed;
  timer.next_number += passed;
  timer.missed += passed;
  timer.next_ms = plus(timer.next_ms, passed, spec.span_ms);
  if (spec.missed == EveryOptions::Missed::skip && passed > 0) {
    ++timer.next_number;
    ++timer.missed;
    timer.next_ms = plus(timer.next_ms, spec.span_ms);
    const bool is_over = spec.until_ms && timer.next_ms > *spec.until_ms;
    firing.what = is_over ? Fired::over : Fired::later;
    return firing;
  }
  firing.what = Fired::tick;
  firing.tick = {std::string(name), timer.generation(), timer.next_ms, now_ms,
                 timer.next_number, timer.missed};
  timer.queued = timer.next_number++;
  timer.missed = 0;
  ++timer.ticks;
  if (repeats) timer.next_ms = plus(timer.next_ms, spec.span_ms);
  return firing;
}

bool go_on(TimerRecord& timer, std::int64_t now_ms) {
  const auto& spec = timer.spec;
  timer.queued = 0;
  if (spec.kind != TimerSpec::Kind::every) return false;
  if (spec.max_count > 0 && timer.ticks >= spec.max_count) return false;
  if (spec.pace == EveryOptions::Pace::fixed_delay) timer.next_ms = plus(now_ms, spec.span_ms);
  return !spec.until_ms || timer.next_ms <= *spec.until_ms;
}

}  // namespace semper::internal
