// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::cast_after
#include "thing.h"

semper::Async<void> cast(semper::Ref<Thing> thing) {
  const Thing::Add one;
  co_return co_await thing.cast_after(std::chrono::seconds(1), one);
}
