// IdempotencyKey: a name that a sender gives to its request, so that asking again does nothing.
//
// What for: whoever may send the same request twice and must not have it done twice: a gateway
// whose client retries, a program that starts again after a crash and does not know how far it had
// come. When not: casts that come from a log in one order (cast_once.h keeps one number for all of
// them), and messages that may be repeated anyway: each key is a row in the store until its
// retention is over. Then it is forgotten, and a repeat runs again: retain it for longer than
// anybody retries.
//
//   const semper::CallOptions options{.key = semper::IdempotencyKey{request.id}};
//   auto receipt = co_await account.call(transfer, options);   // again: the first one's receipt
//
// A key belongs to one entity and one message name: the same text elsewhere is another key. The
// first message with it runs, exactly once as ever, and what it came to is written in the same
// commit. Then:
//
//   it is done       a repeated call gets its reply, also an error that the callback replied, or
//                    that of a dead letter where it was set aside; a repeated cast succeeds
//   it is not done   because it waits in the queue, holds the lock, waits in a callback or is to be
//                    answered later: a repeated call waits for the same reply, up to
//                    kAttachedCallsMaximum of them, then `retry`; a repeated cast succeeds
//   other payload, or a cast where the first was a call: `invalid_argument`
//
// and nothing else is done. What was refused before it was accepted is not remembered (retry,
// exhausted, a call that failed in the caller's own process, one that its callback can never take):
// a repeat runs. The time of retention begins when the message is done; one that is not is never
// forgotten. It goes by the calendars of the hosts. kill() forgets an entity's keys, reset() does
// not. A dead letter that is redriven is pending again; one that is deleted goes on answering as
// one until its retention is over.
//
// Durable: the key with the message. If a call or cast never returns, send it again with its key.
// Threads: values that borrow the text until the call or cast is made (not until it is awaited).
// Source of the idea: Stripe; draft-ietf-httpapi-idempotency-key-header.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "semper/base/result.h"
#include "semper/base/time.h"

namespace semper {

// Of a key, which is UTF-8 and not empty.
inline constexpr std::size_t kIdempotencyKeyBytesMaximum = 255;
// Keys of one entity that are not forgotten yet; past that a message with a new one is `exhausted`:
// give less retention, or spread what comes over more entities. Processes that send new ones at the
// same moment may exceed it by one each.
inline constexpr std::uint64_t kIdempotencyKeysPerEntity = 100'000;
// Repeated calls that wait for the reply of one key, besides the first.
inline constexpr std::size_t kAttachedCallsMaximum = 64;
// Of IdempotencyKey::retention.
inline constexpr Duration kKeyRetentionMaximum = std::chrono::hours(24 * 366);

struct IdempotencyKey {
  std::string_view text;

  // For how long the reply is kept, from the end of the message on; from 1 ms to
  // kKeyRetentionMaximum. Default: a day. Longer than anybody retries; each second of it costs
  // rows.
  Duration retention = std::chrono::hours(24);
};

// What became of the message that was sent with a key.
template <class Reply>
struct KeyedReply {
  enum class State : std::uint8_t {
    absent,   // never sent, killed with its entity, or forgotten
    pending,  // accepted: it waits, runs, or is to be answered later
    done      // see `reply`
  };

  State state = State::absent;
  std::optional<Result<Reply>> reply;  // where it is done; of a cast without a value
  std::optional<WallTime> kept_until;  // where it is done
};

}  // namespace semper
