// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::cast_in
#include "thing.h"

semper::Async<void> cast(semper::Ref<Thing> thing, semper::Transaction& transaction) {
  co_return co_await thing.cast_in<Thing::Add>(transaction, 1);
}
