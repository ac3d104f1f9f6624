// Appending to an entity's durable queue, within a transaction. Writes only: appends of any number
// of publishers never conflict with each other, nor with the consumer.
#pragma once

#include <set>

#include "semper/server/message.h"
#include "semper/store/transaction.h"
#include "server/format/keys.h"
#include "server/format/records.h"

namespace semper::internal {

// A segment is closed when it holds this much, so that consumers read it in pieces.
inline constexpr std::size_t kSegmentBytes = 64u << 10;

// Segments are numbered with 16 bits within their transaction.
inline constexpr std::uint16_t kSegmentsPerTransaction = 0xffff;

// The appends of one transaction. Segments get user versions in order of their making, so that the
// order of add() calls is the order of the queue.
class Enqueuer {
 public:
  // `first_segment`: the user version to begin with, where the transaction has other segments.
  explicit Enqueuer(Transaction& transaction, std::uint16_t first_segment = 0)
      : transaction_(&transaction), next_segment_(first_segment) {}

  // What is added from now on goes to this entity's queue. The keys are borrowed until end_queue().
  void to(const EntityKeys& keys);
  void add(Event event, const RawMessage& message, const ReplyToken& caller = {},
           const TickRecord* tick = nullptr, const MessageKey* key = nullptr,
           const CallChain* chain = nullptr);
  // Nothing more goes there. Also done by to() and finish().
  void end_queue();

  // After the last add(): the index shards' wake-up counters are touched.
  void finish();

 private:
  void close_segment();

  Transaction* transaction_;
  const EntityKeys* keys_ = nullptr;
  SegmentWriter segment_;   // the last one of that queue
  std::int64_t added_ = 0;  // messages to that queue
  std::set<Bytes> wakes_;
  std::uint16_t next_segment_;
};

// What the message takes in a segment, at most.
std::size_t queued_size(const RawMessage& message, const ReplyToken& caller = {});
// What a key adds to that, at most.
std::size_t queued_size(const MessageKey* key);

// Error exhausted where a message cannot be stored in one value.
Status check_message_size(const RawMessage& message, const ReplyToken& caller, const Limits& limits,
                          const CallChain* chain = nullptr);

}  // namespace semper::internal
