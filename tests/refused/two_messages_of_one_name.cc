// error: static assertion failed: two messages of this behaviour have the same name
#include "thing.h"

namespace other {
struct Add {
  using Reply = int;
};
}  // namespace other

struct Twins : Thing {
  using Messages = semper::Messages<Thing::Add, other::Add>;
  using Thing::handle_call;
  semper::Reply<int> handle_call(const other::Add&, State&, semper::Context&) { return 1; }
};

void serve(semper::Host& host) {
  host.serve<Twins>();
}
