// error: static assertion failed: handle_call returns semper::Reply<M::Reply>
#include "thing.h"

struct Ask {
  using Reply = std::string;
};
struct Wrong : Thing {
  using Messages = semper::Messages<Thing::Add, Ask>;
  using Thing::handle_call;
  State* handle_call(const Ask&, State& s, semper::Context&) { return &s; }
};

void serve(semper::Host& host) {
  host.serve<Wrong>();
}
