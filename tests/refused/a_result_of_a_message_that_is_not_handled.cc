// error: use of deleted function .*TheBehaviourHasNoHandleCall .*::result_of
#include "thing.h"

semper::Async<bool> known(semper::Ref<Thing> thing) {
  SEMPER_CO_TRY_STATUS(co_await thing.result_of<Stranger>("a key"));
  co_return true;
}
