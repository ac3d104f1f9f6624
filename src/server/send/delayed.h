// cast_after and cast_at of a Ref: a timer of the entity, set from outside, that sends one tick.
//
// With an idempotency key, the key's row is written with the timer, as of a message that waits; the
// tick carries the key through the queue, and its run completes it (format/idempotency.h).
#pragma once

#include <memory>

#include "semper/server/message.h"
#include "server/format/records.h"
#include "server/format/target.h"

namespace semper::internal {

// `key`: null where there is none.
Async<void> cast_after(std::shared_ptr<const Target> target, Duration delay, RawMessage message,
                       std::shared_ptr<const MessageKey> key);
Async<void> cast_at(std::shared_ptr<const Target> target, WallTime when, RawMessage message,
                    std::shared_ptr<const MessageKey> key);

}  // namespace semper::internal
