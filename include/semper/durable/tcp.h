// A ready-made durable TCP connection, for request-and-answer protocols.
//
// What for: your own protocol, or that of a server that has no client library, over plain TCP. When
// not: gRPC (rpc/channel.h), TLS, or a library that has its own socket (descriptor.h).
//
//   auto echo = semper::durable_tcp({.host = "127.0.0.1", .port = 7});
//   auto ask = [&](semper::TcpConnection& c) -> semper::Async<std::string> {
//     SEMPER_CO_TRY_STATUS(co_await c.write(line));
//     co_return co_await c.read_until("\n");
//   };
//   auto answer = co_await echo.with(ask);
//
// Access is exclusive: one f at a time (DurableOptions); tcp_pool() has several connections. An
// answer that nobody waits for any more would be taken for the answer to the next request. So a
// connection is not used again if its f was cancelled or failed halfway, or if there is something
// to read when no f is running (TcpOptions::unasked).
//
// TCP itself detects a dead peer: by keepalive while the connection is idle, and by user_timeout
// while data is in flight. The deadline of the `with` detects a live peer that does not answer.
//
// Errors of the operations: io (refused, reset, closed by the other side, unknown name), timeout
// (the peer acknowledges nothing), cancelled, exhausted (max_line). Each of them breaks the
// connection.
//
// Threads: a connection is used by one coroutine at a time, on any loop. Its socket belongs to the
// executor of the attempt, and is closed with that loop: the connection is then broken, and made
// anew by the next `with`. To keep it beyond the loop of its first caller, set
// DurableOptions::executor. On another loop than the socket's, write, read_until and read run on
// the socket's and answer on the caller's, which may be destroyed meanwhile.
//
// Programs that this one executes do not inherit the socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "semper/durable/durable.h"
#include "semper/durable/pool.h"
#include "semper/env/asio_net.h"

namespace semper {

class TcpConnection;

struct TcpOptions {
  std::string host;  // a name, which is resolved anew at each attempt, or an address
  std::uint16_t port = 0;
  // Covers name resolution, all addresses, and `login`; becomes attempt_deadline if that is not
  // set. If an address of the name does not answer within 250 ms, the next one is tried alongside.
  Duration connect_timeout = std::chrono::seconds(10);
  // After this long without traffic, the peer is probed, three times in the same time again.
  // Default 30 s; kForever: never.
  Duration keepalive = std::chrono::seconds(30);
  // The connection breaks if sent data is not acknowledged for this long. Default 30 s; kForever:
  // the system's own limit, about 15 minutes.
  Duration user_timeout = std::chrono::seconds(30);
  // The maximum length for read_until() and read().
  std::size_t max_line = 1 << 20;
  // What to do if there is something to read when no f is running: a late answer, or an unsolicited
  // message of the protocol.
  enum class Unasked : std::uint8_t { breaks, is_kept };
  Unasked unasked = Unasked::breaks;
  // Runs once on each new connection, before any f: greeting, authentication.
  std::function<Async<void>(TcpConnection&)> login = nullptr;
};

class TcpConnection {
 public:
  TcpConnection(asio::ip::tcp::socket socket, const TcpOptions& options);

  // Each of these, cut off in the middle (cancelled, destroyed), breaks the connection.
  //
  // Writes everything. `bytes` must stay valid until this has ended.
  Async<void> write(std::string_view bytes);
  // Reads up to the next `end`, which is consumed but not returned.
  Async<std::string> read_until(std::string_view end);
  // Reads exactly this many bytes.
  Async<std::string> read(std::size_t bytes);

  // True if the connection was closed or reset by the other side, has failed before, or has
  // unsolicited data to read. Does not wait. This is is_broken for the Durable.
  bool is_broken() const;

  // For anything else one can do with a socket; on its own executor only, whose loop Asio would use
  // after the caller's is gone. A failed operation of the caller's own does not change is_broken().
  asio::ip::tcp::socket& socket();

 private:
  struct Core;
  class Operation;

  // Shared with operations that run on the socket's executor.
  std::shared_ptr<Core> core_;
};

// One connection, without a Durable. It has no deadline.
Async<TcpConnection> connect_tcp(TcpOptions options);

// The default of `options.name` is "tcp HOST:PORT".
Durable<TcpConnection> durable_tcp(
    TcpOptions tcp, DurableOptions<TcpConnection> options = DurableOptions<TcpConnection>());
Pool<TcpConnection> tcp_pool(TcpOptions tcp,
                             PoolOptions<TcpConnection> options = PoolOptions<TcpConnection>());

}  // namespace semper
