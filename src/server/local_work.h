// LocalWork: one operation of this process on an entity that this process serves.
#pragma once

#include <memory>
#include <vector>

#include "loop.h"
#include "semper/env/one_shot.h"
#include "semper/server/message.h"
#include "target.h"

namespace semper::internal {

struct LocalWork {
  enum class Type : std::uint8_t { call, cast, priority };
  Type type = Type::cast;
  Event event = Event::cast;
  std::vector<RawMessage> messages;  // casts: one or more, together; else one
  OneShot<Result<Bytes>> done;       // calls: the reply's encoding
  MonotonicTime deadline = kNever;   // of calls
  const void* loop = nullptr;        // of the coroutine that waits: its execution context
};

// Puts works into the durable queue, on that loop; they are answered from there. Those whose callers
// were answered already are left out.
void publish_works(const std::shared_ptr<const Target>& target, std::vector<LocalWork> works,
                   const Loop& loop);

}  // namespace semper::internal
