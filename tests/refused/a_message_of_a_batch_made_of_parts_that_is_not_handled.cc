// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::add
#include "thing.h"

semper::Batch<Thing> together() {
  return semper::Batch<Thing>().add<Thing::Add>(1);
}
