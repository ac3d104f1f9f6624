// error: static assertion failed: an action that does not name its state is given it
#include "thing.h"

semper::Reply<int> reply(Thing::State& s) {
  return semper::Reply<int>(s.count).then([](const auto& after) { return after.count; });
}
