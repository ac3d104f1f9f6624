// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::cast_at
#include "thing.h"

semper::Async<void> cast(semper::Ref<Thing> thing, semper::WallTime when) {
  const Thing::Add one;
  co_return co_await thing.cast_at(when, one);
}
