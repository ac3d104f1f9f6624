// A call on which both sides send: messages as bytes, in both directions at once.
//
// What for: bidirectional streaming methods, for example one stream that carries many requests,
// each answered when it is ready. When not: one request (call.h), or streams that reconnect
// (subscribe.h): this one ends with its connection, and its user opens another.
//
//   auto duplex = rpc::open_duplex(channel, "/etcdserverpb.Watch/Watch", options);
//   SEMPER_CO_TRY_STATUS(duplex.send(request.SerializeAsString()));
//   while (true) {
//     SEMPER_CO_TRY(auto message, co_await duplex.next());
//     if (!message) break;                                 // the server ended in good order
//   }
//
// Nothing blocks a thread. Destroying it cancels the call.
//
// Errors: those of status.h. Only the server's messages can tell whether it received what was sent.
//
// Threads: send() and cancel() from any; next() by one coroutine at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "semper/rpc/call.h"

namespace semper::rpc {

// The maximum number of messages that wait to be sent; HTTP/2 flow control decides how fast they
// are sent.
inline constexpr std::size_t kDuplexQueueMaximum = 16'384;

class DuplexStream {
 public:
  DuplexStream(DuplexStream&&) noexcept = default;
  DuplexStream& operator=(DuplexStream&&) noexcept;
  ~DuplexStream();  // cancels the call

  // Queues the message for sending, in order; does not wait. Errors: closed (the call has ended:
  // next() says why), retry (kDuplexQueueMaximum messages already wait).
  Status send(Bytes message);

  // The next message; nothing: the server ended the call cleanly.
  Async<std::optional<Bytes>> next();

  // Cancels the call at once: next() then gives `cancelled`.
  void cancel();

  struct Call;
  explicit DuplexStream(std::shared_ptr<Call> call) : call_(std::move(call)) {}

 private:
  std::shared_ptr<Call> call_;
};

// Starts the call; whether the server accepts it shows in next().
DuplexStream open_duplex(const Channel& channel, const std::string& method,
                         const CallOptions& options = CallOptions());

}  // namespace semper::rpc
