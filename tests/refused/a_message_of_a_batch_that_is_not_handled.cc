// error: use of deleted function .*TheBehaviourHasNoHandleCast .*::add
#include "thing.h"

semper::Batch<Thing> together() {
  const Thing::Add one;
  return semper::Batch<Thing>().add(one);
}
