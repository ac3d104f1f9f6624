// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::cast_in
#include "thing.h"

semper::Async<void> cast(semper::Ref<Thing> thing, semper::Transaction& transaction) {
  const Thing::Add one;
  co_return co_await thing.cast_in(transaction, one);
}
