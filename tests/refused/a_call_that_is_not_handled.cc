// error: use of deleted function .*TheBehaviourHasNoHandleCall .*::call
#include "thing.h"

semper::Async<int> call(semper::Ref<Thing> thing) {
  co_return co_await thing.call<Stranger>();
}
