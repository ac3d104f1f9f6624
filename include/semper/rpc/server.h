// A gRPC server whose handlers are coroutines: one answer, or a stream of messages.
//
// What for: the other side of call.h and subscribe.h. When not: a server out of generated code; what
// frame.h says can be sent from there too.
//
//   rpc::Methods methods;
//   methods.unary("/prices.Prices/Get", [&](rpc::CallInfo, Bytes request) { return get(request); });
//   methods.streaming("/prices.Prices/Watch", publisher.handler());      // publisher.h
//   SEMPER_TRY(auto server, rpc::Server::start(methods, {.executor = scheduler.executor()}));
//   ... server.port() ...
//   server.shutdown(2s);
//
// A handler returns Async<Bytes> or Async<void>; its error becomes the call's status (status.h), what
// it throws the status INTERNAL. When the caller cancels, goes away, or its deadline passes, the
// handler's coroutine is cancelled in Asio's manner; so is it by shutdown when the grace is over.
// A method that is not there is UNIMPLEMENTED. The health protocol (grpc.health.v1 Health/Check)
// is answered for the server ("") and each service that has a method.
//
// A caller that is stopped or unreachable is noticed by pings (ServerOptions::keepalive), and
// counts as gone.
//
// Threads: handlers run on a strand each over the executor; it must run until shutdown() returned.
// start and shutdown are for plain threads: shutdown waits, so never call it on the executor.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "semper/base/bytes.h"
#include "semper/env/asio.h"
#include "semper/env/clock.h"
#include "semper/rpc/frame.h"

namespace semper::rpc {

// A call as its handler, and `authorize`, see it.
struct CallInfo {
  std::string method;
  std::string peer;  // as gRPC writes it: ipv4:127.0.0.1:4711
  std::multimap<std::string, std::string> metadata;
  // "Bearer ..." as it was sent; empty without.
  std::string authorization() const;
};

// Where a streaming handler writes. A copy may outlive the call: writes are then refused.
class StreamWriter {
 public:
  // Returns when gRPC can take the next one: HTTP/2 flow control holds a writer back whose reader is
  // slow. One at a time (asserted). Errors: closed (the caller has gone; end the handler),
  // cancelled: the message may be sent all the same, and the next write comes after it.
  Async<void> write(Bytes message);
  Async<void> write(const StreamFrame& frame) { return write(encode_frame(frame)); }

  struct Call;
  explicit StreamWriter(std::shared_ptr<Call> call) : call_(std::move(call)) {}

 private:
  std::shared_ptr<Call> call_;
};

class Methods {
 public:
  using Unary = std::function<Async<Bytes>(CallInfo, Bytes)>;
  using Streaming = std::function<Async<void>(CallInfo, Bytes, StreamWriter)>;

  // `name` is "/package.Service/Method", each once (asserted).
  Methods& unary(const std::string& name, Unary handler);
  Methods& streaming(const std::string& name, Streaming handler);

 private:
  friend class Server;
  struct Handler {
    Unary unary;
    Streaming streaming;
  };
  std::map<std::string, Handler> handlers_;
};

struct ServerCredentials {
  // PEM. Both empty: an open connection.
  std::string certificate = {};
  std::string private_key = {};
  // PEM. Not empty: callers must show a certificate signed by one of these (mutual TLS).
  std::string client_roots = {};
};

struct ServerOptions {
  // Where handlers run. Must be given.
  Executor executor = Executor();
  // Default: a free port of this machine, for this machine alone.
  std::string address = "127.0.0.1:0";
  ServerCredentials credentials = ServerCredentials();
  // Asked before each call, on gRPC's threads; it must not block. Its error is the answer.
  std::function<Result<void>(const CallInfo&)> authorize = nullptr;
  // One request, at most. Default 4 MiB.
  std::size_t max_message_bytes = std::size_t{4} << 20;
  // Calls under way, streams included; more are refused with RESOURCE_EXHAUSTED. One whose caller
  // has gone counts until its handler has ended.
  std::size_t max_calls = 100'000;
  // Callers that ping more often are cut off. Default 1 s.
  Duration min_keepalive = std::chrono::seconds(1);
  // A ping to a client after so long without traffic, and the longest wait for its answer; then its
  // connection is closed and its calls end. Default 20 s and 10 s; kForever for the first: no
  // pings, and calls of clients that died without a word stay for hours.
  Duration keepalive = std::chrono::seconds(20);
  Duration keepalive_timeout = std::chrono::seconds(10);
};

class Server {
 public:
  // Errors: invalid_argument (no executor, credentials that do not fit), io (the address is taken or
  // not ours).
  static Result<Server> start(const Methods& methods, ServerOptions options);

  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();  // shutdown(0)

  std::uint16_t port() const;

  // What health checks say from now on. Default: serving.
  void set_serving(bool serving);

  // No new calls; those under way may go on for `grace`, then they are cancelled. Returns when all
  // have ended and nothing of any handler is left: what handlers refer to may be destroyed then.
  // One that does not listen to its cancellation is waited for, and named in the log after 5 s.
  // Where the executor is an io_context that was stopped, or runs on this thread, handlers cannot
  // end meanwhile: they are cancelled, named in the log, and left to it. Idempotent.
  void shutdown(Duration grace);

  // Under way, and handlers that go on although their caller has gone.
  std::size_t calls() const;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace semper::rpc
