// IdempotencyKey: a name that a sender gives to its request, so that repeating it has no effect.
//
// What for: senders that may send a request twice when it must be carried out once, such as a
// gateway whose client retries, or a program that restarts after a crash and does not know how far
// it got. When not: casts that come from a log in one order (cast_once.h keeps one number for all
// of them), and messages that are safe to repeat anyway: each key is a row in the store until its
// retention is over. Then it is forgotten, and a repeat runs again, so keep it for longer than
// anybody retries.
//
//   const semper::CallOptions options{.key = semper::IdempotencyKey{request.id}};
//   auto receipt = co_await account.call(transfer, options);   // again: the first one's receipt
//
// A key belongs to one entity and one message name: the same text elsewhere is a different key. The
// first message with a key runs, exactly once as usual, and its outcome is written in the same
// commit. From then on:
//
//   message done     a repeated call gets its reply, even if that is an error, or the error of the
//                    dead letter if it was set aside; a repeated cast succeeds
//   not done         (it waits in the queue, holds the lock, waits in a callback or is to be
//                    answered later) a repeated call waits for the same reply, up to
//                    kAttachedCallsMaximum of them, then `retry`; a repeated cast succeeds
//   delayed          (cast_after, cast_at) its timer waits: not done. A repeat does nothing,
//                    whatever time it names; when the timer is cancelled, its key is forgotten
//   another payload, or a cast and a call with the same key: `invalid_argument`
//
// and nothing else is done. A request that was refused before it was accepted is not remembered
// (retry, exhausted, a call that failed in the caller's own process, one that no callback can ever
// handle), so a repeat runs. That a repeat was refused says nothing about the request that it
// repeats. The retention begins when the message is done, and is measured by the wall clocks of the
// hosts; a key that is not done is never forgotten. kill() forgets an entity's keys, reset() does
// not. The key of a redriven dead letter is pending again; that of a deleted one still answers with
// its error until its retention is over.
//
// Durable: the key, with the message. If a call or cast never returns, send it again with its key.
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

// The length of a key, which is UTF-8 and not empty.
inline constexpr std::size_t kIdempotencyKeyBytesMaximum = 255;
// Keys of one entity that are not forgotten yet; beyond that, a message with a new key gets
// `exhausted`: use a shorter retention, or spread the requests over more entities. Processes that
// send new keys at the same moment may exceed the bound by one each.
inline constexpr std::uint64_t kIdempotencyKeysPerEntity = 100'000;
// Repeated calls that wait for the reply of one key, in addition to the first.
inline constexpr std::size_t kAttachedCallsMaximum = 64;
// The longest IdempotencyKey::retention.
inline constexpr Duration kKeyRetentionMaximum = std::chrono::hours(24 * 366);

struct IdempotencyKey {
  std::string_view text;

  // How long the reply is kept, counted from the end of the message; from 1 ms to
  // kKeyRetentionMaximum. Default: a day. Make it longer than anybody retries; each second of it
  // costs rows.
  Duration retention = std::chrono::hours(24);
};

// What became of the message that was sent with a key.
template <class Reply>
struct KeyedReply {
  enum class State : std::uint8_t {
    absent,   // never sent, killed with its entity, or forgotten
    pending,  // accepted: it waits, runs or is to be answered later
    done      // see `reply`
  };

  State state = State::absent;
  std::optional<Result<Reply>> reply;  // if it is done; without a value for a cast
  std::optional<WallTime> kept_until;  // if it is done
};

}  // namespace semper
