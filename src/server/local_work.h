// LocalWork: one operation of this process on an entity that this process serves.
#pragma once

#include <memory>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/server/context.h"
#include "semper/server/ref.h"
#include "target.h"

namespace semper::internal {

struct LocalWork {
  enum class Type : std::uint8_t { call, cast, priority };
  Type type = Type::cast;
  Event event = Event::cast;
  std::vector<RawMessage> messages;  // casts: one or more, together; else one
  OneShot<Result<Bytes>> done;       // calls: the reply's encoding
  MonotonicTime deadline = kNever;   // of calls
};

// Puts works into the durable queue; they are answered from there.
void publish_works(const std::shared_ptr<const Target>& target, std::vector<LocalWork> works,
                   const Executor& executor);

}  // namespace semper::internal
