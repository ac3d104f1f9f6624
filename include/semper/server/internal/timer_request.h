// What a callback or a Ref asks of a timer, on its way to the store (server/timer.h).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "semper/server/message.h"
#include "semper/server/timer.h"

namespace semper::internal {

// The timer of a host's own by which an entity expires (server/serve/expiry.h), and its message.
// Nobody else sets one of that name.
inline constexpr std::string_view kExpiryTimer = "semper.expiry";
inline constexpr std::string_view kExpiryMessage = kExpiryTimer;

struct MessageKey;  // server/format/records.h

struct TimerSpec {
  enum class Kind : std::uint8_t { after = 0, at = 1, every = 2, cron = 3 };

  Kind kind = Kind::after;
  std::int64_t span_ms = 0;              // the delay, or the period
  std::optional<std::int64_t> first_ms;  // of `at`, and of `every` where it says so
  EveryOptions::Pace pace = EveryOptions::Pace::fixed_rate;
  EveryOptions::Missed missed = EveryOptions::Missed::coalesce;
  std::optional<std::int64_t> until_ms;
  std::uint64_t max_count = 0;
  std::int64_t jitter_ms = 0;
  std::string schedule;  // of `cron`
  std::string zone;
  RawMessage message;
  // Of a delayed cast that was sent with an idempotency key.
  std::shared_ptr<const MessageKey> key = nullptr;

  bool repeats() const { return kind == Kind::every || kind == Kind::cron; }
};

struct TimerRequest {
  enum class What : std::uint8_t { set, cancel, pause, resume };

  What what = What::set;
  std::string name;
  std::optional<TimerSpec> spec;  // to set it
  std::uint64_t seed = 0;         // of its jitter
  std::int64_t cron_ms = 0;       // of `cron`: its first due time
  // To set it: one that is due then or later stays.
  std::optional<std::int64_t> unless_due_from_ms = std::nullopt;
};

}  // namespace semper::internal
