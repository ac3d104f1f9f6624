// error: static assertion failed: limit_key is never called: set kRateLimit or kConcurrencyLimit
#include "thing.h"

struct Keyed : Thing {
  static std::string limit_key(const semper::EntityId& id) { return id.id; }
};

void serve(semper::Host& host) {
  host.serve<Keyed>();
}
