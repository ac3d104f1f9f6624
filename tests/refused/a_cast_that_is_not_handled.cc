// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::cast
#include "thing.h"

semper::Async<void> cast(semper::Ref<Thing> thing) {
  const Thing::Add one;  // it can be called, not cast
  co_return co_await thing.cast(one);
}
