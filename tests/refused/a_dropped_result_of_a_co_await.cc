// Clang's error: ignoring return value of function declared with [^ ]*nodiscard
#include "thing.h"

semper::Task<void> ignore(semper::Ref<Thing> thing) {
  co_await thing.call<Thing::Add>(1);
}
