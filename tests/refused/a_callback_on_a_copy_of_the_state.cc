// error: static assertion failed: a callback takes State&: what it does to a copy is lost
#include "thing.h"

struct Forgetful : Thing {
  void handle_cast(const Thing::Add& m, State s, semper::Context&) { s.count += m.by; }
};

void serve(semper::Host& host) {
  host.serve<Forgetful>();
}
