// kill, reset, unlock and queue_length of a Ref: what operators do to an entity, whoever works on it.
#pragma once

#include <cstdint>
#include <memory>

#include "semper/env/asio.h"
#include "server/format/target.h"

namespace semper::internal {

Async<void> kill(std::shared_ptr<const Target> target);
Async<void> reset(std::shared_ptr<const Target> target);
Async<void> unlock(std::shared_ptr<const Target> target);
Async<std::uint64_t> queue_length(std::shared_ptr<const Target> target);

}  // namespace semper::internal
