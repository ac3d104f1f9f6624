// RateLimit: how many messages of a type's entities may be handled in a time (behaviour.h:
// kRateLimit, kTypeRateLimit).
//
//   static constexpr semper::RateLimit kRateLimit{
//       .messages = 60, .per = std::chrono::minutes(1), .burst = 10};
//
// A token bucket, in the store: it holds at most `burst` tokens and gains `messages` of them in
// `per`, evenly. Each run of a queued message takes one.
//
// When not: to bound how many handle_locked run at a time, which is kConcurrencyLimit. Threads:
// values.
#pragma once

#include <chrono>
#include <cstdint>

#include "semper/base/time.h"

namespace semper {

inline constexpr std::uint32_t kRateLimitMessagesMaximum = 1'000'000'000;
inline constexpr Duration kRateLimitPeriodMaximum = std::chrono::hours(24 * 365);

struct RateLimit {
  std::uint32_t messages = 0;
  Duration per = std::chrono::seconds(1);
  std::uint32_t burst = 0;  // at once, after a pause; 0: as many as `messages`

  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

// handle_locked of one limit key at a time, at most (behaviour.h: kConcurrencyLimit).
inline constexpr int kConcurrencyLimitMaximum = 1'000;

// Longer limit keys are cut.
inline constexpr int kLimitKeyBytes = 256;

// What becomes of a message that is over a limit of its type (behaviour.h: kOverLimit).
enum class OverLimit : std::uint8_t {
  wait,   // it waits at the head of its queue
  refuse  // a call gets `retry`, naming the limit; a cast is set aside as a dead letter
};

// What limit_weight may return; anything else counts as the nearest of them.
inline constexpr int kLimitWeightMaximum = 1'000;

}  // namespace semper
