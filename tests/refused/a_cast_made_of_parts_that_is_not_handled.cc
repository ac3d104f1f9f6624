// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::cast
#include "thing.h"

semper::Async<void> cast(semper::Ref<Thing> thing) {
  co_return co_await thing.cast<Thing::Add>(1);  // it can be called, not cast
}
