// error: static assertion failed: handle_locked takes .const M&, State&, LockedContext&.
#include "thing.h"

struct Confused : Thing {
  int handle_locked(const Thing::Add&, State& s, semper::Context&) { return s.count; }
};

void serve(semper::Host& host) {
  host.serve<Confused>();
}
