// error: static assertion failed: kRateLimit: 1 to kRateLimitMessagesMaximum messages
#include "thing.h"

struct Silent : Thing {
  static constexpr semper::RateLimit kRateLimit{.messages = 0};
};

void serve(semper::Host& host) {
  host.serve<Silent>();
}
