// Appending to an entity's durable queue, within a transaction. Writes only: appends of any number
// of publishers never conflict with each other, nor with the consumer.
#pragma once

#include <set>
#include <vector>

#include "keys.h"
#include "records.h"
#include "semper/store/transaction.h"

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

  // The messages follow each other in the queue. Call once or more per entity and transaction.
  void add(const EntityKeys& keys, const std::vector<const QueuedMessage*>& messages);

  // Touches the index shards' wake-up counters; after the last add().
  void finish();

 private:
  Transaction* transaction_;
  std::set<Bytes> wakes_;
  std::uint16_t next_segment_;
};

// What the message takes in a segment, at most.
std::size_t queued_size(const QueuedMessage& message);

// Error exhausted where a message can not be stored in one value.
Status check_message_size(const QueuedMessage& message, const Limits& limits);

}  // namespace semper::internal
