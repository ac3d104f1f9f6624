// error: static assertion failed: a listed message has no callback that takes it
#include "thing.h"

struct Forgotten {};
struct Deaf : Thing {
  using Messages = semper::Messages<Thing::Add, Forgotten>;
};

void serve(semper::Host& host) {
  host.serve<Deaf>();
}
