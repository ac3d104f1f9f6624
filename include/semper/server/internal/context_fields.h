// What a host hands to a callback's Context and LockedContext (server/context.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/base/stop.h"
#include "semper/env/env.h"
#include "semper/server/entity_id.h"
#include "semper/server/internal/action.h"
#include "semper/server/internal/send_counts.h"
#include "semper/server/internal/timer_request.h"
#include "semper/server/message.h"

namespace semper {

class Context;
class SpanBuffer;
class Transaction;
struct Span;

namespace internal {

using TracePointer = std::shared_ptr<const MessageTrace>;

// Spans of one transaction: exported once it has committed.
struct SpansOfAttempt;

// What the callbacks of one transaction have in common.
struct CallbackSends {
  std::uint16_t segments = 0;    // of queues, written so far
  std::uint64_t to_itself = 0;   // messages among them that wait in the entity's own queue
  std::optional<Error> refused;  // why the transaction cannot commit
  std::optional<WallTime> now;   // read once
  // Queues to be looked at before the commit: a host counts what it sends, and looks now and then.
  SendCounts* counts = nullptr;
  struct Queue {
    Bytes tenant_prefix;
    EntityId id;
  };
  std::vector<Queue> to_check;
  std::vector<TimerRequest> timers;  // in the order of their making
  std::size_t timer_bytes = 0;       // of their messages
  // Answers to calls that had an idempotency key, in the order of their making.
  struct KeyedAnswer {
    ReplyToken to;
    Bytes encoded;  // as a reply in the store
  };
  std::vector<KeyedAnswer> keyed_answers;
  std::shared_ptr<SpansOfAttempt> spans;  // null: none is recorded
};

// Borrows what it points to.
struct ContextFields {
  const Tenant* tenant;
  const EntityId* id;
  Transaction* transaction;
  Env env;
  WallTime now;
  Event event;
  ReplyToken caller;
  CallbackSends* sends;
  std::vector<Action>* after_commit;
  const Tick* tick = nullptr;  // where the message is one
  TracePointer trace = nullptr;
};

// What handle_locked asks for, done in the transaction that writes its result.
using LockedSends = std::vector<std::function<void(Context&)>>;

struct LockedContextFields {
  const EntityId* id;
  const Tenant* tenant;
  Env env;
  Event event;
  std::uint64_t fencing_token;
  StopToken lost;
  LockedSends* sends;
  const Tick* tick = nullptr;
  TracePointer trace = nullptr;
};

}  // namespace internal
}  // namespace semper
