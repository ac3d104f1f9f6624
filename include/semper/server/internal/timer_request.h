// What a callback or a Ref asks of a timer, on its way to the store (server/timer.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "semper/server/message.h"
#include "semper/server/timer.h"

namespace semper::internal {

struct TimerSpec {
  enum class Kind : std::uint8_t { after = 0, at = 1, every = 2 };

  Kind kind = Kind::after;
  std::int64_t span_ms = 0;              // the delay, or the period
  std::optional<std::int64_t> first_ms;  // of `at`, and of `every` where it says so
  EveryOptions::Pace pace = EveryOptions::Pace::fixed_rate;
  EveryOptions::Missed missed = EveryOptions::Missed::coalesce;
  std::optional<std::int64_t> until_ms;
  std::uint64_t max_count = 0;
  RawMessage message;
};

// To set the timer of this name, or, without a spec, to cancel it.
struct TimerRequest {
  std::string name;
  std::optional<TimerSpec> spec;
};

}  // namespace semper::internal
