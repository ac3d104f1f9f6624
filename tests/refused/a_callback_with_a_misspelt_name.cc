// error: static assertion failed: a listed message has a Reply and no handle_call
#include "thing.h"

struct Read {
  using Reply = int;
};
struct Misspelt : Thing {
  using Messages = semper::Messages<Thing::Add, Read>;
  using Thing::handle_call;
  semper::Reply<int> handle_calls(const Read&, State& s, semper::Context&) { return s.count; }
};

void serve(semper::Host& host) {
  host.serve<Misspelt>();
}
