// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::cast
#include "thing.h"

semper::Async<void> cast(semper::Ref<Thing> thing, semper::CastOptions options) {
  const Thing::Add one;
  co_return co_await thing.cast(one, options);
}
