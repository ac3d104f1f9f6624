// The right form of everything next to it.
#include "thing.h"

semper::Reply<int> reply(Thing::State& s) {
  return semper::Reply<int>(s.count).then(
      s, [](const auto& after) { static_cast<void>(after.count); });
}
semper::Async<int> call(semper::Ref<Thing> thing) {
  co_return co_await thing.call<Thing::Add>(1);
}
void serve(semper::Host& host) {
  host.serve<Thing>();
}
