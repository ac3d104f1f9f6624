// A gRPC server whose handlers are coroutines: one answer, or a stream of messages.
//
// What for: the other side of call.h and subscribe.h. When not: a server made of generated code,
// which can also send the messages of frame.h.
//
//   rpc::Methods methods;
//   methods.unary("/prices.Prices/Get",
//                 [&](rpc::CallInfo, Bytes request) { return get(request); });
//   methods.streaming("/prices.Prices/Watch", publisher.handler());      // publisher.h
//   SEMPER_TRY(auto server, rpc::Server::start(methods, {.executor = scheduler.executor()}));
//   const std::uint16_t port = server.port();
//   server.shutdown(2s);
//
// A handler returns Async<Bytes> or Async<void>. Its error becomes the call's status (status.h); an
// exception becomes INTERNAL. When the caller cancels or goes away, or its deadline passes, the
// handler's coroutine is cancelled (by Asio's cancellation); shutdown does the same when its grace
// period is over. An unknown method is UNIMPLEMENTED. The health protocol (grpc.health.v1
// Health/Check) is answered for the server ("") and each service that has a method.
//
// Pings (ServerOptions::keepalive) detect a caller that is paused or unreachable; it then counts as
// gone.
//
// Threads: each handler runs on its own strand over the executor, which must run until shutdown()
// has returned. start and shutdown are for plain threads: shutdown waits, so never call it on the
// executor. In a forked child, shutdown and the destructor of the parent's server return at once,
// and leave the parent's calls and its port alone.
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
  // "Bearer ..." as it was sent; empty if it was not.
  std::string authorization() const;
};

// A streaming handler writes here. A copy may outlive the call: writes are then refused.
class StreamWriter {
 public:
  // Returns when gRPC can accept the next message: HTTP/2 flow control slows down a writer whose
  // reader is slow. One at a time (asserted). Errors: closed (the caller is gone; end the handler),
  // cancelled (the message may still be sent, and the next write comes after it).
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
  // PEM. Both empty: an unencrypted connection.
  std::string certificate = {};
  std::string private_key = {};
  // PEM. Not empty: callers must show a certificate signed by one of these (mutual TLS).
  std::string client_roots = {};
};

struct ServerOptions {
  // Where handlers run. Required.
  Executor executor = Executor();
  // HOST:PORT, or unix:PATH. A socket file that a killed server has left is replaced; that of a
  // running one is not. Default: a free port, reachable only from this machine.
  std::string address = "127.0.0.1:0";
  ServerCredentials credentials = ServerCredentials();
  // Called before each call, on gRPC's threads; it must not block. If it fails, its error is the
  // answer.
  std::function<Result<void>(const CallInfo&)> authorize = nullptr;
  // The maximum size of a request. Default 4 MiB.
  std::size_t max_message_bytes = std::size_t{4} << 20;
  // Concurrent calls, including streams; more are refused with RESOURCE_EXHAUSTED. A call whose
  // caller is gone counts until its handler has ended.
  std::size_t max_calls = 100'000;
  // Callers that ping more often are disconnected. Default 1 s.
  Duration min_keepalive = std::chrono::seconds(1);
  // The time without traffic after which to ping a client, and the longest wait for its answer;
  // then its connection is closed and its calls end. Default 20 s and 10 s; kForever for the first:
  // no pings, and calls of clients that died silently stay for hours.
  Duration keepalive = std::chrono::seconds(20);
  Duration keepalive_timeout = std::chrono::seconds(10);
};

class Server {
 public:
  // Errors: invalid_argument (no executor, or an unusable address or credentials), io (the address
  // is in use or not ours; says why), unsupported (a forked child whose parent has used gRPC),
  // exhausted (no descriptors).
  static Result<Server> start(const Methods& methods, ServerOptions options);

  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();  // shutdown(0)

  std::uint16_t port() const;

  // The answer of health checks from now on. Default: serving.
  void set_serving(bool serving);

  // Accepts no new calls. Calls in progress may continue for `grace`; then they are cancelled.
  // Returns when all have ended and no handler is left, so objects that handlers refer to may then
  // be destroyed. It waits for a handler that ignores its cancellation, and names it in the log
  // after 5 s. If the executor's io_context or thread_pool was stopped, or runs on this thread,
  // handlers cannot end meanwhile: they are cancelled, named in the log, and left to it.
  // Idempotent.
  void shutdown(Duration grace);

  // Calls in progress, including handlers that continue although their caller is gone.
  std::size_t calls() const;

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  static void end(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace semper::rpc
