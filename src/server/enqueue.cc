#include "enqueue.h"

#include <utility>

#include "semper/base/assert.h"

namespace semper::internal {

namespace {
// What a message takes in a segment besides its name, payload and caller's session, at most: heads of
// CBOR items and a number.
constexpr std::size_t kMessageOverheadBytes = 40;
// Kept free in the value of a message, so that it can be set aside with a reason.
constexpr std::size_t kDeadLetterRoomBytes = 1024;
static_assert(kDeadLetterRoomBytes > kDeadLetterReasonBytes + 64);
}  // namespace

void Enqueuer::add(const EntityKeys& keys, const std::vector<const QueuedMessage*>& messages) {
  SegmentWriter segment;
  const auto close = [&] {
    SEMPER_ASSERT(next_segment_ < kSegmentsPerTransaction,
                  "a transaction's segments are numbered with 16 bits");
    transaction_->set_versionstamped_key(keys.queue_segment(next_segment_++), keys.stamp_offset(),
                                         segment.finish());
  };
  for (const auto* message : messages) {
    const std::size_t size = queued_size(*message);
    if (segment.count() > 0 && segment.size_bytes() + size > kSegmentBytes) close();
    segment.add(*message);
  }
  if (segment.count() > 0) close();
  transaction_->add(keys.pushed(), static_cast<std::int64_t>(messages.size()));
  transaction_->set(keys.index(), {});
  wakes_.insert(keys.wake());
}

void Enqueuer::finish() {
  for (const auto& wake : wakes_) transaction_->add(wake, 1);
  wakes_.clear();
}

std::size_t queued_size(const QueuedMessage& message) {
  return message.payload.size() + message.name.size() + message.caller.session.size() +
         kMessageOverheadBytes;
}

Status check_message_size(const QueuedMessage& message, const Limits& limits) {
  if (queued_size(message) + kDeadLetterRoomBytes <= limits.value_bytes) return {};
  return fail(ErrorKind::exhausted, "message " + message.name + " of " +
                                        std::to_string(message.payload.size()) +
                                        " bytes is over the store's limit value_bytes = " +
                                        std::to_string(limits.value_bytes) + "; send it in parts");
}

}  // namespace semper::internal
