// Idempotency keys as they lie in the store. Who reads and writes them is in key_book.h.
//
// A key has one row, from the commit that accepts its message until its retention is over:
//
//   queued   its message waits in the queue, or runs (under the lock, too)
//   waiting  it has run, and is to be answered later
//   done     with the reply, and an entry in the expiry index
//   failed   as done, of a message that was set aside: redriving it makes it `queued` again
//
// A call that is to be answered later is known to callbacks by a token that names the key, so that
// whoever answers it finds the row.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "semper/server/idempotency_key.h"
#include "semper/store/transaction.h"
#include "server/format/keys.h"
#include "server/format/records.h"

namespace semper::internal {

inline constexpr std::size_t kFingerprintBytes = 16;
// Longer replies lie in chunks behind the row.
inline constexpr std::size_t kKeptReplyBytes = 4096;
inline constexpr std::size_t kKeptReplyChunkBytes = 16u << 10;

// Checks the key (invalid_argument). The fingerprint is FNV-1a of 128 bits, of how the message is
// sent and its payload: it finds mistakes, not forgeries.
Result<std::shared_ptr<const MessageKey>> message_key(const IdempotencyKey& key, Event event,
                                                      const RawMessage& message);
Status check_key_text(std::string_view text);

// Which key it is: one entity's, and one message name's.
struct KeyAddress {
  EntityId entity;
  std::string message;
  std::string key;

  friend bool operator==(const KeyAddress&, const KeyAddress&) = default;
};

// What callbacks get as the address of a keyed call's caller. `run` tells uses of one key apart.
ReplyToken key_token(const KeyAddress& address, std::uint64_t run);
bool is_key_token(const ReplyToken& token);
Result<KeyAddress> address_in(const ReplyToken& token);
// Of a message on the queue: the same for each of its runs.
std::uint64_t run_of(const ReplyToken& caller);

struct KeyRecord {
  static constexpr std::uint64_t kFormat = 1;
  enum class State : std::uint8_t { queued = 0, waiting = 1, done = 2, failed = 3 };

  Versionstamp
      stamp;  // of the commit that accepted the message; incomplete while encoding a new one
  State state = State::queued;
  Bytes fingerprint;
  std::int64_t retention_ms = 0;
  std::int64_t expires_ms = 0;      // done, failed
  std::uint64_t run = 0;            // of the message that it stands for
  std::uint32_t chunks = 0;         // of the reply; 0: it is here
  Bytes reply;                      // encoded; may be there before the message is done
  std::vector<ReplyToken> callers;  // that wait, besides the one that waits with the message

  bool is_done() const { return state == State::done || state == State::failed; }

  Bytes encode() const;
  static Result<KeyRecord> decode(BytesView bytes);
};

// A row that is over, or dead, is taken away with its chunks and its entry in the expiry index; not
// the count.
void clear_key(Transaction& transaction, const EntityKeys& keys, std::string_view message,
               std::string_view text, const KeyRecord& record);

}  // namespace semper::internal
