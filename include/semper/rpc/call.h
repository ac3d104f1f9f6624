// Calls over a channel: one answer, or a stream of messages, as bytes.
//
// What for: any gRPC method whose messages the program encodes itself (protobuf's
// SerializeAsString, semper::encode). When not: streams that should heal (subscribe.h).
//
//   auto bytes = co_await rpc::call(channel, "/prices.Prices/Get", request.SerializeAsString(),
//                                   {.deadline = 2s});
//
// Nothing blocks a thread: gRPC's own threads call back, and the waiting coroutine is resumed on its
// executor. A coroutine that is cancelled (or destroyed) cancels its call.
//
// Errors: those of status.h. `timeout`, `io` and `cancelled` leave open whether the server did it.
// invalid_argument also where nothing was sent: a method's name or metadata that gRPC cannot send.
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
  // From the start of the call to its end, kept by both sides. Default: none. For a stream that is
  // meant to last leave it: a stream that heals would be cut each time.
  Duration deadline = kForever;
  // Sent along. Keys: a-z, 0-9, '-', '_', '.'. Values: printable ASCII, or any bytes under a key
  // that ends in "-bin".
  std::multimap<std::string, std::string> metadata = {};
  // Messages of a stream that are read before anybody asks for them: more makes small messages
  // cheaper. Past it, HTTP/2 flow control holds the server back. Default 64.
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

  // The next message; nothing: the server ended in good order. One call at a time. One that is
  // cancelled takes nothing.
  Async<std::optional<Bytes>> next();

  // Of the call, at once and from any thread: next() then gives `cancelled`.
  void cancel();

  // After next() gave an error: whether it is the connection's, and not the server's answer. A server
  // that is not ours cannot be told from the connection where it answers UNAVAILABLE,
  // DEADLINE_EXCEEDED or CANCELLED.
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
