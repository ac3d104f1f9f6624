// kill, reset, unlock, result_of and queue_length of a Ref: what is done to an entity, and asked of
// it, whoever works on it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "semper/env/asio.h"
#include "semper/server/idempotency_key.h"
#include "server/format/target.h"

namespace semper::internal {

Async<void> kill(std::shared_ptr<const Target> target);
Async<void> reset(std::shared_ptr<const Target> target);
Async<void> unlock(std::shared_ptr<const Target> target);
Async<KeyedReply<Bytes>> result_of(std::shared_ptr<const Target> target, std::string message,
                                   std::string key);
Async<std::uint64_t> queue_length(std::shared_ptr<const Target> target);

}  // namespace semper::internal
