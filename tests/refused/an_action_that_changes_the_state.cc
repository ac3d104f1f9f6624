// error: static assertion failed: an action is called with a const State&
#include "thing.h"

semper::Reply<int> reply(Thing::State& s) {
  return semper::Reply<int>(s.count).then([](Thing::State& after) { ++after.count; });
}
