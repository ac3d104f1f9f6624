// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::priority_cast
#include "thing.h"

semper::Async<void> cast(semper::Ref<Thing> thing) {
  co_return co_await thing.priority_cast<Thing::Add>(1);
}
