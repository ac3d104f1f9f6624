// error: static assertion failed: handle_info takes .const M&, State&, Context&.
#include "thing.h"

struct Careless : Thing {
  void handle_info(Thing::Add& m, State& s, semper::Context&) { s.count += m.by--; }
};

void serve(semper::Host& host) {
  host.serve<Careless>();
}
