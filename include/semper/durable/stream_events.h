// The events of PipeStream and StateStream (stream.h).
//
// What for: reading a stream. When not: plain values that are fetched once; what a dispatch
// function returns, and adapters for transports, are in stream_dispatch.h.
//
// The exact order. An attempt is:
//   AttemptingNewConnection, FailedToConnect or RpcError, then the delay, then the next attempt;
// or AttemptingNewConnection, ConnectionSuccess, (StateStream: State at once,) any UpdateBatches,
// LostConnection, then the delay, then the next attempt.
// The first attempt has no delay. Streams whose source gives resume tokens have two more events:
//   ConnectionResumed in place of ConnectionSuccess and State: the updates continue after the last
//   batch that was read or is in the buffer, with nothing lost or repeated;
//   Gap before ConnectionSuccess: the stream could not continue there, or the updates there cannot
//   be read; the updates in between are lost.
// Gap also comes before a LostConnection if the reader was too slow (WhenFull::fresh_state).
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>
#include <variant>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/durable/stream_dispatch.h"

namespace semper::stream {

struct NoState {};
struct NoMetadata {};

struct AttemptingNewConnection {};

template <class Metadata>
struct ConnectionSuccess {
  Metadata metadata;
};

template <class Metadata>
struct ConnectionResumed {
  Metadata metadata;
};

// The connection existed and is lost. `closed`: the other side ended the updates cleanly.
struct LostConnection {
  Error reason;
};

// There was no connection, or it failed during the request.
struct FailedToConnect {
  Error error;
};

// The other side answered, and refused.
struct RpcError {
  Error error;
};

struct Gap {
  Error reason;
  std::size_t dropped_updates = 0;  // dropped by this side; how many the other side sent is unknown
};

// The whole state, and its place in the stream.
template <class S>
struct State {
  S state;
  Bytes resume_token;
};

template <class Update, class Metadata = NoMetadata>
using PipeEvent =
    std::variant<AttemptingNewConnection, ConnectionSuccess<Metadata>, ConnectionResumed<Metadata>,
                 LostConnection, FailedToConnect, RpcError, Gap, UpdateBatch<Update>>;

template <class S, class Update, class Metadata = NoMetadata>
using StateEvent =
    std::variant<AttemptingNewConnection, ConnectionSuccess<Metadata>, ConnectionResumed<Metadata>,
                 LostConnection, FailedToConnect, RpcError, Gap, UpdateBatch<Update>, State<S>>;

// The same event with another type of update or state; the others as they are.
template <class To, class From, class F>
To map_event(From event, F&& change) {
  return std::visit(
      [&](auto& one) -> To {
        if constexpr (std::is_invocable_v<F&, decltype(std::move(one))>) {
          return To(change(std::move(one)));
        } else {
          return To(std::move(one));
        }
      },
      event);
}

}  // namespace semper::stream
