// Operation: what a coroutine of this process asks of one entity: a call, an info, or casts that go
// together.
#pragma once

#include <memory>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/server/message.h"
#include "server/format/records.h"
#include "server/format/target.h"
#include "server/send/loop.h"
#include "server/send/publishers.h"

namespace semper::internal {

struct Operation {
  Event event = Event::cast;
  bool is_priority = false;          // past queue and lock
  std::vector<RawMessage> messages;  // casts: one or more, together; else one
  OneShot<Result<Bytes>> done;       // calls: the reply's encoding
  MonotonicTime deadline = kNever;   // of calls
  const void* loop = nullptr;        // of the coroutine that waits: its execution context
  std::shared_ptr<const MessageKey> key = nullptr;  // of the one message, where it has one
  ChainPointer chain = nullptr;                     // a callback waits for it
};

// Puts operations into the durable queue, on that loop; they are answered from there. Those whose
// callers were answered already are left out.
void enqueue_operations(const Publishers& publishers, const std::shared_ptr<const Target>& target,
                        std::vector<Operation> operations, const Loop& loop);

}  // namespace semper::internal
