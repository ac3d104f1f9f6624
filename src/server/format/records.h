// What the values of the server room look like: CBOR, so that any tool can read them
// (docs/formats.md).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/server/entity_id.h"
#include "semper/server/message.h"
#include "semper/server/message_info.h"
#include "semper/store/limits.h"
#include "semper/store/versionstamp.h"

namespace semper::cbor {

class Reader;
class Writer;

}  // namespace semper::cbor

namespace semper::internal {

struct LockRecord {
  std::uint64_t nonce = 0;       // which acquisition this is
  std::string owner;             // the host's name, for people
  std::int64_t acquired_ms = 0;  // wall clock, for people

  friend bool operator==(const LockRecord&, const LockRecord&) = default;
};

// (1, type, id, 0). Its first 10 bytes are the stamp of the commit that wrote it.
struct Header {
  // Written as 3 where the state is in chunks that have places, as 2 where the state's version is
  // over 1, so that older programs leave it alone; else as 1.
  static constexpr std::uint64_t kFormat = 3;

  Versionstamp stamp;             // filled by the store; incomplete while encoding
  std::uint64_t popped = 0;       // messages consumed since the entity began
  std::uint32_t head_offset = 0;  // messages consumed of the first queue segment
  std::optional<LockRecord> lock;
  bool has_state = false;
  std::uint32_t chunks = 0;       // 0: the state is here
  Bytes state;                    // one CBOR item, where chunks is 0
  std::uint64_t state_bytes = 0;  // in all chunks; 0: they have numbers, not places (until 0.1.0)
  std::uint32_t state_version = 1;

  Bytes encode() const;
  static Result<Header> decode(BytesView bytes);
};

// What a tick on the queue says of itself (timers.h).
struct TickRecord {
  std::string timer;
  Bytes
      generation;  // the stamp of the timer's setting; empty: handled whatever became of the timer
  std::int64_t nominal_ms = 0;
  std::int64_t actual_ms = 0;
  std::uint64_t number = 1;
  std::uint64_t missed = 0;

  friend bool operator==(const TickRecord&, const TickRecord&) = default;
};

// The idempotency key that a message was sent with (idempotency.h).
struct MessageKey {
  std::string text;
  std::int64_t retention_ms = 0;
  Bytes fingerprint;

  friend bool operator==(const MessageKey&, const MessageKey&) = default;
};

// As an array of its own, in a message or a timer; what a later version adds is passed over.
void write_key(cbor::Writer& writer, const MessageKey& key);
bool read_key(cbor::Reader& reader, std::shared_ptr<const MessageKey>& key);

// An entity whose callback waits for a call of its own to end.
struct CallLink {
  Bytes tenant_prefix;
  EntityId id;
  bool is_locked = false;  // in handle_locked; else in its transaction

  friend bool operator==(const CallLink&, const CallLink&) = default;
};
// Those that wait for a call, first first (server/send/call_chain.h).
struct CallChain {
  std::vector<CallLink> links;

  // What it takes in a segment, at most.
  std::size_t size_bytes() const;
  friend bool operator==(const CallChain&, const CallChain&) = default;
};
using ChainPointer = std::shared_ptr<const CallChain>;

// A message as it lies in a queue.
struct QueuedMessage {
  Event event = Event::cast;  // or a call
  RawMessage content;
  ReplyToken caller;                                 // calls only
  std::shared_ptr<const TickRecord> tick = nullptr;  // casts of timers only
  std::shared_ptr<const MessageKey> key = nullptr;   // where it was sent with one
  ChainPointer chain = nullptr;                      // of calls that callbacks wait for
};

// (1, type, id, 2, stamp): an array of messages.
class SegmentWriter {
 public:
  void add(Event event, const RawMessage& message, const ReplyToken& caller,
           const TickRecord* tick = nullptr, const MessageKey* key = nullptr,
           const CallChain* chain = nullptr);
  std::size_t size_bytes() const { return body_.size(); }
  std::uint32_t count() const { return count_; }
  Bytes finish();

 private:
  Bytes body_;
  std::uint32_t count_ = 0;
};
Result<std::vector<QueuedMessage>> decode_segment(BytesView bytes);

// Longer texts are cut in what is stored.
inline constexpr std::size_t kReplyErrorBytes = 4096;
inline constexpr std::size_t kDeadLetterReasonBytes = 512;

// A reply, or the error that the caller gets.
Bytes encode_reply(BytesView payload);
// A reply is at most this share of transaction_bytes, or one value of the store.
inline constexpr std::size_t kReplyShare = 4;
// The same, or `exhausted` where the reply is larger. It may be larger than a value: replies.h.
Bytes encode_reply_within(BytesView payload, const Limits& limits);
Bytes encode_reply_error(const Error& error);
Result<Result<Bytes>> decode_reply(BytesView bytes);

struct DeadLetterRecord {
  QueuedMessage message;
  std::string reason;
  std::int64_t time_ms = 0;           // wall clock, of the last attempt
  std::uint64_t attempts = 0;         // 0: not known, as in letters of 0.1.0
  std::int64_t first_attempt_ms = 0;  // where the attempts are known
};
Bytes encode_dead_letter(const DeadLetterRecord& record);
Result<DeadLetterRecord> decode_dead_letter(BytesView bytes);

// (1, type, id, 6): why the entity is parked, and with which header: one that was written since was
// read by some host, and the note is of the past. Notes of 0.1.0 are the bare text, and stand until
// they are removed.
struct ParkedNote {
  std::string reason;
  Bytes header_stamp;  // the first bytes of the header that could not be read

  Bytes encode() const;
  static ParkedNote decode(BytesView bytes);
  bool is_of(const Versionstamp& header) const {
    return header_stamp.empty() || header.bytes().starts_with(header_stamp);
  }
};

// (4, session) and (5, host).
struct AliveRecord {
  std::string name;
  std::uint64_t renewals = 0;
  std::int64_t renewed_ms = 0;     // wall clock, for people (and for hosts of 0.1.0)
  std::vector<std::string> types;  // hosts only
  std::uint64_t lease_ms = 0;      // its owner's; 0: not said, as in rows of 0.1.0 and of sessions
};
Bytes encode_alive(const AliveRecord& record);
Result<AliveRecord> decode_alive(BytesView bytes);

Bytes encode_message_infos(const std::vector<MessageInfo>& messages);
Result<std::vector<MessageInfo>> decode_message_infos(BytesView bytes);

// The value of an atomic counter; absent or short counts as written by Mutation::Type::add.
std::uint64_t counter_value(const std::optional<Bytes>& bytes);

}  // namespace semper::internal
