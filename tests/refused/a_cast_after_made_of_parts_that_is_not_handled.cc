// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::cast_after
#include "thing.h"

semper::Async<void> cast(semper::Ref<Thing> thing) {
  co_return co_await thing.cast_after<Thing::Add>(std::chrono::seconds(1), 1);
}
