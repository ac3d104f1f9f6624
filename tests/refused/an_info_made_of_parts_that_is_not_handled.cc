// error: use of deleted function .*TheBehaviourHasNoHandleInfo .*::info
#include "thing.h"

semper::Async<void> tell(semper::Ref<Thing> thing) {
  co_return co_await thing.info<Thing::Add>(1);
}
