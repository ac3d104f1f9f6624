// error: static assertion failed: kExpireAfter: at least a second
#include "thing.h"

struct Hasty : Thing {
  static constexpr auto kExpireAfter = std::chrono::milliseconds(10);
};

void serve(semper::Host& host) {
  host.serve<Hasty>();
}
