// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::priority_cast
#include "thing.h"

semper::Async<void> cast(semper::Ref<Thing> thing) {
  const Thing::Add one;
  co_return co_await thing.priority_cast(one);
}
