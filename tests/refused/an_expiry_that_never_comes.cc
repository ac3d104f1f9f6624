// error: static assertion failed: handle_expiry is never called: set kExpireAfter
#include "thing.h"

struct Forgetful : Thing {
  void handle_expiry(State&, semper::Context&) {}
};

void serve(semper::Host& host) {
  host.serve<Forgetful>();
}
