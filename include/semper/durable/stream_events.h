// The events of PipeStream and StateStream (stream.h), and what a dispatch function returns.
//
// What for: whoever reads a stream, and whoever writes an adapter for a transport. When not: plain
// values that are fetched once.
//
// The order, exactly. An attempt:
//   AttemptingNewConnection, FailedToConnect or RpcError, then the delay, then the next attempt;
// or AttemptingNewConnection, ConnectionSuccess, (StateStream: State at once,) any UpdateBatches,
// LostConnection, then the delay, then the next attempt.
// The first attempt has no delay. Streams whose source gives resume tokens have two more events:
//   ConnectionResumed in the place of ConnectionSuccess and State: the updates go on after the last
//   batch that was read or is in the buffer, with nothing lost or repeated;
//   Gap before ConnectionSuccess: it could not go on there, or what follows there cannot be read;
//   updates in between are lost.
// Gap also stands before a LostConnection where the reader was too slow (WhenFull::fresh_state).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <tl/expected.hpp>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/env/asio.h"

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

// The connection was there and is gone. `closed`: the other side ended the updates in good order.
struct LostConnection {
  Error reason;
};

// No connection to ask on, or it failed while it was asked.
struct FailedToConnect {
  Error error;
};

// The other side answered, and refused.
struct RpcError {
  Error error;
};

struct Gap {
  Error reason;
  std::size_t dropped_updates = 0;  // that this side dropped; what the other side sent is not known
};

// The whole state, and where it stands in the stream.
template <class S>
struct State {
  S state;
  Bytes resume_token;
};

// Updates that came together; never split, never joined.
template <class Update>
struct UpdateBatch {
  std::vector<Update> updates;
  // Where a new connection can go on after this batch; empty: nowhere.
  Bytes resume_token;

  explicit UpdateBatch(std::vector<Update> given = {}, Bytes token = {})
      : updates(std::move(given)), resume_token(std::move(token)) {}
};

template <class Update, class Metadata = NoMetadata>
using PipeEvent =
    std::variant<AttemptingNewConnection, ConnectionSuccess<Metadata>, ConnectionResumed<Metadata>,
                 LostConnection, FailedToConnect, RpcError, Gap, UpdateBatch<Update>>;

template <class S, class Update, class Metadata = NoMetadata>
using StateEvent =
    std::variant<AttemptingNewConnection, ConnectionSuccess<Metadata>, ConnectionResumed<Metadata>,
                 LostConnection, FailedToConnect, RpcError, Gap, UpdateBatch<Update>, State<S>>;

// Where updates come from: one connection's worth of them. What an adapter implements.
//
// next() is called by one coroutine, one call at a time, always on one strand. It is told to end by
// Asio's cancellation; then, or at any other time between two calls, the source is destroyed, which
// must release the other side (cancel the call). What it throws is a loss of kind `internal`.
inline constexpr int kUnreadableAtOnePlace = 2;

template <class Update>
class UpdateSource {
 public:
  virtual ~UpdateSource() = default;

  // The next whole batch. Nothing: the other side has ended in good order. Error: it is lost, and
  // why; `invalid_argument` or `corrupt` where something came that cannot be read, and would come
  // again: after kUnreadableAtOnePlace losses for that at one place, the stream does not ask to
  // resume there any more, but says Gap and begins anew behind it.
  virtual Async<std::optional<UpdateBatch<Update>>> next() = 0;
};

enum class Continuity : std::uint8_t {
  fresh,    // begins now, with the state where there is one
  resumed,  // goes on directly after DispatchRequest::resume_after; no state
};

template <class S, class Update, class Metadata>
struct Connection {
  std::unique_ptr<UpdateSource<Update>> updates;
  Metadata metadata;
  std::optional<S> state;  // of a StateStream: there, unless resumed
  Bytes start_token;       // where the updates (and the state) begin; empty: no resuming there
  Continuity continuity = Continuity::fresh;

  explicit Connection(std::unique_ptr<UpdateSource<Update>> source, Metadata about = Metadata(),
                      std::optional<S> now = std::nullopt)
      : updates(std::move(source)), metadata(std::move(about)), state(std::move(now)) {}
};

struct DispatchFailure {
  enum class Stage : std::uint8_t { connect, rpc };
  Stage stage = Stage::connect;
  Error error;
  // The stream ends with this error instead of trying again.
  bool permanent = false;
};

// Why create_or_fail made no stream: an error that says which of the two it was.
struct CreateError : Error {
  DispatchFailure::Stage stage;
  CreateError(DispatchFailure::Stage where, Error error) : Error(std::move(error)), stage(where) {}
};

// `co_return failed_to_connect(error);` and `co_return rpc_error(error);` in a dispatch function.
inline tl::unexpected<DispatchFailure> failed_to_connect(Error error) {
  return tl::unexpected<DispatchFailure>(
      DispatchFailure{DispatchFailure::Stage::connect, std::move(error)});
}
inline tl::unexpected<DispatchFailure> rpc_error(Error error) {
  return tl::unexpected<DispatchFailure>(
      DispatchFailure{DispatchFailure::Stage::rpc, std::move(error)});
}
// Which of the two it is by the error's kind, where nothing tells more: io, timeout, closed and
// cancelled are the connection's, any other is the other side's answer.
inline tl::unexpected<DispatchFailure> failed_by_kind(Error error) {
  switch (error.kind()) {
    case ErrorKind::io:
    case ErrorKind::timeout:
    case ErrorKind::closed:
    case ErrorKind::cancelled:
      return failed_to_connect(std::move(error));
    default:
      return rpc_error(std::move(error));
  }
}
inline tl::unexpected<DispatchFailure> permanently(tl::unexpected<DispatchFailure> failure) {
  failure.value().permanent = true;
  return failure;
}

struct DispatchRequest {
  // Go on after this point, if that is possible; otherwise answer with a fresh connection.
  std::optional<Bytes> resume_after;

  explicit DispatchRequest(std::optional<Bytes> after = std::nullopt)
      : resume_after(std::move(after)) {}
};

// What it throws is a FailedToConnect of kind `internal`.
template <class C>
using Dispatched = tl::expected<C, DispatchFailure>;
template <class C>
using Dispatch = std::function<Task<Dispatched<C>>(DispatchRequest)>;

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
