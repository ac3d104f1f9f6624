#include "server/format/enqueue.h"

#include <utility>

#include "semper/base/assert.h"
#include "semper/server/idempotency_key.h"
#include "server/format/message_trace.h"

namespace semper::internal {

namespace {
// What a message takes in a segment besides its name, payload and caller's session, at most: heads
// of CBOR items and a number.
constexpr std::size_t kMessageOverheadBytes = 40;
// Kept free in the value of a message, so that it can be set aside with a reason.
constexpr std::size_t kDeadLetterRoomBytes = 1024;
// The heads of a key's fields, its fingerprint and a number.
constexpr std::size_t kKeyOverheadBytes = 40;
static_assert(kDeadLetterRoomBytes >
              kDeadLetterReasonBytes + 64 + kIdempotencyKeyBytesMaximum + kKeyOverheadBytes);
}  // namespace

void Enqueuer::to(const EntityKeys& keys) {
  end_queue();
  keys_ = &keys;
}

void Enqueuer::add(Event event, const RawMessage& message, const ReplyToken& caller,
                   const TickRecord* tick, const MessageKey* key, const CallChain* chain) {
  std::size_t size = queued_size(message, caller) + queued_size(key);
  if (chain != nullptr) size += chain->size_bytes();
  if (segment_.count() > 0 && segment_.size_bytes() + size > kSegmentBytes) close_segment();
  segment_.add(event, message, caller, tick, key, chain);
  ++added_;
}

void Enqueuer::close_segment() {
  SEMPER_ASSERT(next_segment_ < kSegmentsPerTransaction,
                "a transaction's segments are numbered with 16 bits");
  transaction_->set_versionstamped_key(keys_->queue_segment(next_segment_++), keys_->stamp_offset(),
                                       segment_.finish());
}

void Enqueuer::end_queue() {
  if (added_ == 0) return;
  close_segment();
  transaction_->add(keys_->pushed(), std::exchange(added_, 0));
  transaction_->set(keys_->index(), {});
  wakes_.insert(keys_->wake());
}

void Enqueuer::finish() {
  end_queue();
  for (const auto& wake : wakes_) transaction_->add(wake, 1);
  wakes_.clear();
}

std::size_t queued_size(const RawMessage& message, const ReplyToken& caller) {
  return message.payload.size() + message.name.size() + caller.session.size() +
         kMessageOverheadBytes + queued_size(message.trace.get());
}

std::size_t queued_size(const MessageKey* key) {
  return key == nullptr ? 0 : key->text.size() + kKeyOverheadBytes;
}

Status check_message_size(const RawMessage& message, const ReplyToken& caller, const Limits& limits,
                          const CallChain* chain) {
  const std::size_t of_chain = chain == nullptr ? 0 : chain->size_bytes();
  const std::size_t size = queued_size(message, caller) + of_chain;
  if (size + kDeadLetterRoomBytes <= limits.value_bytes) return {};
  return fail(ErrorKind::exhausted, Limit{"value_bytes", limits.value_bytes},
              "message " + message.name + " of " + std::to_string(message.payload.size()) +
                  " bytes is over the store's limit value_bytes = " +
                  std::to_string(limits.value_bytes) + "; send it in parts");
}

}  // namespace semper::internal
