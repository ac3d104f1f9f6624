// error: use of deleted function .*TheBehaviourHasNoHandleCall .*::priority_call
#include "thing.h"

semper::Async<int> ask(semper::Ref<Thing> thing) {
  co_return co_await thing.priority_call<Stranger>();
}
