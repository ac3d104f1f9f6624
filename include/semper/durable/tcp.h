// A durable TCP connection, ready to use: for protocols of questions and answers.
//
// What for: a protocol of your own, or of a server without a library, in plain TCP. When not: gRPC
// (rpc/channel.h); TLS; a library that has a socket of its own (descriptor.h).
//
//   auto echo = semper::durable_tcp({.host = "127.0.0.1", .port = 7});
//   auto ask = [&](semper::TcpConnection& c) -> semper::Async<std::string> {
//     SEMPER_CO_TRY_STATUS(co_await c.write(line));
//     co_return co_await c.read_until("\n");
//   };
//   auto answer = co_await echo.with(ask);
//
// Access is exclusive: one f at a time (DurableOptions), tcp_pool() has several connections. What
// makes wrong answers on such a line is an answer that nobody waits for any more: a connection
// whose f was cancelled or failed in the middle is not used again, and neither is one that has
// something to read when no f is there (TcpOptions::unasked).
//
// A dead peer is found by TCP itself: keepalive while it is quiet, user_timeout while something is
// on its way. A peer that lives and does not answer is found by the deadline of the `with`.
//
// Errors of the operations: io (refused, reset, closed by the other side, a name that is not
// found), timeout (the peer acknowledges nothing), cancelled, exhausted (max_line). Each breaks the
// connection.
//
// Threads: a connection is used by one coroutine at a time. Its socket belongs to the executor of
// the attempt: where the loop of the first caller may go away before the others, set
// DurableOptions::executor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "semper/durable/durable.h"
#include "semper/durable/pool.h"
#include "semper/env/asio_net.h"

namespace semper {

class TcpConnection;

struct TcpOptions {
  std::string host;  // a name, asked for anew at each attempt, or an address
  std::uint16_t port = 0;
  // For names, all their addresses, and `login`; becomes attempt_deadline where there is none.
  Duration connect_timeout = std::chrono::seconds(10);
  // Quiet for so long: the peer is asked whether it lives, three times in as long again. Default
  // 30 s; kForever: never asked.
  Duration keepalive = std::chrono::seconds(30);
  // What was sent and is not acknowledged for so long breaks the connection. Default 30 s;
  // kForever: the system's own, some 15 minutes.
  Duration user_timeout = std::chrono::seconds(30);
  // The longest that read_until() looks for its end, and read() takes.
  std::size_t max_line = 1 << 20;
  // Something to read when no f is there: an answer too late, a message of the protocol's own
  // accord.
  enum class Unasked : std::uint8_t { breaks, is_kept };
  Unasked unasked = Unasked::breaks;
  // Done once on each new connection, before any f: greeting, authentication.
  std::function<Async<void>(TcpConnection&)> login = nullptr;
};

class TcpConnection {
 public:
  TcpConnection(asio::ip::tcp::socket socket, const TcpOptions& options);

  // All of it. `bytes` stays there until this has ended.
  Async<void> write(std::string_view bytes);
  // Up to the next `end`, which is taken too and not returned.
  Async<std::string> read_until(std::string_view end);
  // Exactly so many.
  Async<std::string> read(std::size_t bytes);

  // Closed or reset by the other side, failed before, or with something to read that nobody asked
  // for. Does not wait. For DurableOptions this is is_broken.
  bool is_broken() const;

  // For whatever else there is to do with a socket. An operation of the caller's own that fails
  // leaves is_broken() as it is.
  asio::ip::tcp::socket& socket() { return socket_; }

 private:
  Error failed(const std::error_code& code, const char* what);

  asio::ip::tcp::socket socket_;
  std::string unread_;
  std::string peer_;
  std::size_t max_line_;
  TcpOptions::Unasked unasked_;
  bool has_failed_ = false;
};

// One connection, without a Durable. It has no deadline of its own.
Async<TcpConnection> connect_tcp(TcpOptions options);

// `options.name` is "tcp HOST:PORT" where it says nothing else.
Durable<TcpConnection> durable_tcp(
    TcpOptions tcp, DurableOptions<TcpConnection> options = DurableOptions<TcpConnection>());
Pool<TcpConnection> tcp_pool(TcpOptions tcp,
                             PoolOptions<TcpConnection> options = PoolOptions<TcpConnection>());

}  // namespace semper
