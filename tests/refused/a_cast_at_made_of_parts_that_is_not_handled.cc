// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::cast_at
#include "thing.h"

semper::Async<void> cast(semper::Ref<Thing> thing, semper::WallTime when) {
  co_return co_await thing.cast_at<Thing::Add>(when, 1);
}
