// cast_after and cast_at of a Ref: a timer of the entity, set from outside, that sends one tick.
#pragma once

#include <memory>

#include "semper/server/message.h"
#include "server/format/target.h"

namespace semper::internal {

Async<void> cast_after(std::shared_ptr<const Target> target, Duration delay, RawMessage message);
Async<void> cast_at(std::shared_ptr<const Target> target, WallTime when, RawMessage message);

}  // namespace semper::internal
