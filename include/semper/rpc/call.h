// Calls over a channel: one answer, or a stream of messages, as bytes.
//
// What for: any gRPC method whose messages the program encodes itself (protobuf's
// SerializeAsString, semper::encode). When not: streams that should reconnect (subscribe.h).
//
//   auto bytes = co_await rpc::call(channel, "/prices.Prices/Get", request.SerializeAsString(),
//                                   {.deadline = 2s});
//
// Nothing blocks a thread: gRPC's own threads call back, and the waiting coroutine is resumed on
// its executor. A coroutine that is cancelled (or destroyed) cancels its call.
//
// Errors: those of status.h. After `timeout`, `io` and `cancelled` it is unknown whether the server
// did the work. invalid_argument also if nothing was sent: a method name or metadata that gRPC
// cannot send.
//
// Threads: any. A Channel is copied; requests are moved.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "semper/base/bytes.h"
#include "semper/rpc/channel.h"
#include "semper/rpc/status.h"

namespace semper::rpc {

struct CallOptions {
  // From the start of the call to its end, enforced by both sides. Default: none. Do not set it for
  // a long-lived stream: a reconnecting stream would be cut each time.
  Duration deadline = kForever;
  // Sent with the call. Keys: a-z, 0-9, '-', '_', '.'. Values: printable ASCII, or any bytes under
  // a key that ends in "-bin".
  std::multimap<std::string, std::string> metadata = {};
  // Messages of a stream that are read ahead; more makes small messages cheaper. Beyond that,
  // HTTP/2 flow control slows the server down. Default 64.
  std::size_t read_ahead = 64;
};

// `method` is "/package.Service/Method".
Async<Bytes> call(Channel channel, std::string method, Bytes request,
                  CallOptions options = CallOptions());

// The messages of one server-streaming call.
class MessageStream {
 public:
  MessageStream(MessageStream&&) noexcept = default;
  MessageStream& operator=(MessageStream&&) noexcept;
  ~MessageStream();  // cancels the call

  // The next message; nothing: the server ended the stream cleanly. One call at a time. A cancelled
  // call takes nothing.
  Async<std::optional<Bytes>> next();

  // Cancels the call, at once and from any thread: next() then gives `cancelled`.
  void cancel();

  // After an error of next(): whether the connection failed, rather than the server answering. If a
  // server that does not use Semper answers UNAVAILABLE, DEADLINE_EXCEEDED or CANCELLED, this
  // cannot be told apart from a connection failure.
  bool was_lost() const;

  struct Call;
  explicit MessageStream(std::shared_ptr<Call> call) : call_(std::move(call)) {}

 private:
  std::shared_ptr<Call> call_;
};

// Starts the call; whether the server accepts it shows in the first next().
MessageStream open_stream(const Channel& channel, const std::string& method, Bytes request,
                          const CallOptions& options = CallOptions());

}  // namespace semper::rpc
