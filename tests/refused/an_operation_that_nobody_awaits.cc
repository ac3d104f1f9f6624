// error: ignoring returned value of type [^ ]*semper::Async<int>
#include "thing.h"

semper::Task<void> ignore(semper::Ref<Thing> thing) {
  thing.call<Thing::Add>(1);
  co_return;
}
