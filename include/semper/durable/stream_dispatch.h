// What a dispatch function of PipeStream and StateStream (stream.h) returns: a connection with its
// source of updates, or a failure that says at which stage.
//
// What for: connecting a stream to a server, and writing an adapter for a transport. When not:
// reading a stream (stream_events.h); for gRPC there is an adapter (rpc/subscribe.h).
//
// Each attempt of a stream calls the dispatch function once, on the stream's strand. It returns a
// Connection, or failed_to_connect(error), rpc_error(error) or failed_by_kind(error). After a
// failure the stream tries again, unless permanently() says that this would be useless.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "semper/base/bytes.h"
#include "semper/env/asio.h"

namespace semper::stream {

// Updates that arrived together; never split, never joined.
template <class Update>
struct UpdateBatch {
  std::vector<Update> updates;
  // Where a new connection can continue after this batch; empty: nowhere.
  Bytes resume_token;

  explicit UpdateBatch(std::vector<Update> given = {}, Bytes token = {})
      : updates(std::move(given)), resume_token(std::move(token)) {}
};

// After so many losses at one place that cannot be read, the stream no longer asks to resume there.
inline constexpr int kUnreadableAtOnePlace = 2;

// The source of the updates of one connection. An adapter implements it.
//
// One coroutine calls next(), one call at a time, always on one strand. Asio's cancellation tells
// it to end. Then, or at any other time between two calls, the source is destroyed, which must
// release the other side (cancel the call). An exception is a loss of kind `internal`.
template <class Update>
class UpdateSource {
 public:
  virtual ~UpdateSource() = default;

  // The next whole batch. Nothing: the other side has ended cleanly. Error: the connection is lost,
  // and why; `invalid_argument` or `corrupt` if something arrived that cannot be read, and would
  // come again. After kUnreadableAtOnePlace such losses at one place, the stream no longer asks to
  // resume there, but reports Gap and starts again behind it.
  virtual Async<std::optional<UpdateBatch<Update>>> next() = 0;
};

enum class Continuity : std::uint8_t {
  fresh,    // begins now, with the state if there is one
  resumed,  // continues directly after DispatchRequest::resume_after; no state
};

template <class S, class Update, class Metadata>
struct Connection {
  std::unique_ptr<UpdateSource<Update>> updates;
  Metadata metadata;
  std::optional<S> state;  // for a StateStream: present unless resumed
  Bytes start_token;       // where the updates (and the state) begin; empty: cannot resume there
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

// Why create_or_fail created no stream: an error that says which of the two it was.
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
// Decides between the two by the error's kind, if nothing else is known: io, timeout, closed and
// cancelled are connection failures; any other kind is an answer of the other side.
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
  // Continue after this point if possible; otherwise answer with a fresh connection.
  std::optional<Bytes> resume_after;

  explicit DispatchRequest(std::optional<Bytes> after = std::nullopt)
      : resume_after(std::move(after)) {}
};

// An exception from it is a FailedToConnect of kind `internal`.
template <class C>
using Dispatched = tl::expected<C, DispatchFailure>;
template <class C>
using Dispatch = std::function<Task<Dispatched<C>>(DispatchRequest)>;

}  // namespace semper::stream
