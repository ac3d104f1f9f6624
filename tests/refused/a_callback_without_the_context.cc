// error: static assertion failed: handle_cast takes .const M&, State&, Context&.
#include "thing.h"

struct Nameless : Thing {
  void handle_cast(const Thing::Add& m, State& s) { s.count += m.by; }
};

void serve(semper::Host& host) {
  host.serve<Nameless>();
}
