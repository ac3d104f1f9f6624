// error: static assertion failed: limit_weight is never called: set kTypeRateLimit
#include "thing.h"

struct Weighed : Thing {
  static constexpr semper::RateLimit kRateLimit{.messages = 1};
  static std::string limit_key(const semper::EntityId& id) { return id.id; }
  static int limit_weight(std::string_view) { return 2; }
};

void serve(semper::Host& host) {
  host.serve<Weighed>();
}
