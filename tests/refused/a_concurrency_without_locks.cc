// error: static assertion failed: kConcurrencyLimit is of handle_locked
#include "thing.h"

struct Alone : Thing {
  static constexpr int kConcurrencyLimit = 1;
};

void serve(semper::Host& host) {
  host.serve<Alone>();
}
