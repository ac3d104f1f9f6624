// error: static assertion failed: a message that handle_call takes says what the reply is
#include "thing.h"

struct Ask {};
struct Speechless : Thing {
  using Messages = semper::Messages<Thing::Add, Ask>;
  using Thing::handle_call;
  semper::Reply<int> handle_call(const Ask&, State& s, semper::Context&) { return s.count; }
};

void serve(semper::Host& host) {
  host.serve<Speechless>();
}
