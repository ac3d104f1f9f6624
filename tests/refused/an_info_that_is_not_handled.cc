// error: use of deleted function .*TheBehaviourHasNoHandleInfo .*::info
#include "thing.h"

semper::Async<void> tell(semper::Ref<Thing> thing) {
  const Thing::Add one;  // it can be called, and is no info
  co_return co_await thing.info(one);
}
