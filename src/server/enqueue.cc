#include "enqueue.h"

#include <utility>

#include "semper/base/assert.h"

namespace semper::internal {

namespace {
// What a message takes in a segment besides its name and payload, at most.
constexpr std::size_t kMessageOverheadBytes = 128;
}  // namespace

void Enqueuer::add(const EntityKeys& keys, const std::vector<const QueuedMessage*>& messages) {
  SegmentWriter segment;
  const auto close = [&] {
    SEMPER_ASSERT(next_segment_ < 0xffff, "a transaction's segments are numbered with 16 bits");
    transaction_->set_versionstamped_key(keys.queue_segment(next_segment_++), keys.stamp_offset(),
                                         segment.finish());
  };
  for (const auto* message : messages) {
    const std::size_t size = message->payload.size() + message->name.size();
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

Status check_message_size(const QueuedMessage& message, const Limits& limits) {
  const std::size_t size = message.payload.size() + message.name.size() + kMessageOverheadBytes;
  if (size <= limits.value_bytes) return {};
  return fail(ErrorKind::exhausted, "message " + message.name + " of " +
                                        std::to_string(message.payload.size()) +
                                        " bytes is over the store's limit value_bytes = " +
                                        std::to_string(limits.value_bytes) + "; send it in parts");
}

}  // namespace semper::internal
