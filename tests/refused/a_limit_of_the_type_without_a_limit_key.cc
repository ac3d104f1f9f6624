// error: static assertion failed: kTypeRateLimit and kTypeConcurrencyLimit are shared by keys
#include "thing.h"

struct Shared : Thing {
  static constexpr semper::RateLimit kTypeRateLimit{.messages = 1};
};

void serve(semper::Host& host) {
  host.serve<Shared>();
}
