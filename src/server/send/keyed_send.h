// KeyedSend: a message with an idempotency key on its way into the queue, and what its sender
// learns.
#pragma once

#include <memory>
#include <optional>

#include "server/format/idempotency.h"
#include "server/format/key_book.h"
#include "server/format/target.h"

namespace semper::internal {

struct KeyedSend {
  explicit KeyedSend(std::shared_ptr<const MessageKey> of) : key(std::move(of)) {}

  const std::shared_ptr<const MessageKey> key;
  // Written by the transaction that sends, and valid once that has committed.
  bool is_sent = false;                 // false: there is a first one
  std::optional<Result<Bytes>> answer;  // there is nothing to wait for
};

// The message meets what is known of its key, in the transaction that would send it.
Async<void> meet(Transaction& transaction, const Target& target, Event event,
                 const RawMessage& message, const ReplyToken& caller, KeyedSend& keyed,
                 KeyBook& book);

// A call that was attached to a first one does not wait any more, and makes room for another.
Async<void> detach(std::shared_ptr<const Target> target, std::string message, std::string key,
                   ReplyToken caller);

}  // namespace semper::internal
