// LimitRules: the limits of a type, from its constants (server/behaviour.h).
#pragma once

#include "semper/server/rate_limit.h"

namespace semper::internal {

// What a type says of how much of its work may be done at a time (serve/throttle.h).
struct LimitRules {
  RateLimit rate;   // no messages: any number
  int running = 0;  // handle_locked at a time; 0: any number
  // Of the whole type, whose keys share them; else the two above are of each key.
  RateLimit type_rate;
  int type_running = 0;
  OverLimit over = OverLimit::wait;
  bool by_key = false;  // there is a limit_key

  constexpr bool has_type_rate() const { return type_rate.messages > 0; }
  constexpr bool has_type_places() const { return type_running > 0; }
  constexpr bool has_rate() const { return rate.messages > 0 || has_type_rate(); }
  constexpr bool has_places() const { return running > 0 || has_type_places(); }
  constexpr bool is_any() const { return has_rate() || has_places(); }

  friend bool operator==(const LimitRules&, const LimitRules&) = default;
};

}  // namespace semper::internal
