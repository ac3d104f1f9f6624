// A durable gRPC channel: a connection to a server that is re-established when it breaks.
//
// What for: every call and stream of semper::rpc uses one. When not: a program that has its own
// channels from generated code and needs no reconnection.
//
//   auto channel = rpc::durable_channel({.address = "prices.example:443",
//                                        .credentials = rpc::Credentials::tls()});
//   auto answer = co_await channel.with(
//       [&](rpc::Channel& c) { return rpc::call(c, "/prices.Prices/Get", request); });
//
// A channel is broken when gRPC does not report it as ready (Channel::is_ready): its transport is
// lost, or it was shut down or given up. The next `with` re-establishes it, at the pace of
// DurableOptions, not of gRPC, whose own pauses are shortened. Each attempt asks for the address
// again (`resolve`), resolves its name again, and shares no connection with another channel.
//
// A peer that is paused or unreachable does not close its connections, and only pings reveal that.
// The server decides how often a client may ping, so the default is as slow as stock gRPC servers
// of every language allow. To notice a loss within seconds, set ChannelOptions::keepalive if you
// know the server (Semper's allow one ping per second), or a DurableOptions::probe with
// check_health.
//
// gRPC resends a call over a new connection if the server certainly did not see it (because it was
// shutting down). Nothing else is sent twice.
//
// Errors of an attempt:
//   io                 nobody there, refused, or the handshake (TLS) failed; says why, what gRPC
//                      says of it, and which proxy of the environment was on the way or left out.
//                      Try later
//   timeout            not ready within connect_deadline; try later
//   invalid_argument   an address or credentials that gRPC cannot use, or would take for others (a
//                      port of 99999); correct them
//   any of `resolve`
//
// Threads: everything from any thread. A Channel is a handle; copies share the connection, which
// ends with the last of them and of the calls on it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "semper/durable/durable.h"

namespace semper::rpc {

// How the two sides authenticate each other. A value; the secrets stay in memory as long as it
// exists.
struct Credentials {
  enum class Kind { insecure, tls };
  Kind kind = Kind::insecure;
  // PEM: the authorities that may sign the server's certificate. Empty: the machine's usual list.
  std::string root_certificates = {};
  // PEM: our own, for mutual TLS. Both or neither.
  std::string certificate = {};
  std::string private_key = {};
  // Called before each call; the result is sent as `authorization: Bearer TOKEN`. It must not
  // block: gRPC's threads call it. If it fails, the call fails. Needs TLS; never sent over an
  // unencrypted connection.
  std::function<Result<std::string>()> token = nullptr;

  // Anyone on the network path can read and change the traffic: for loopback and tests.
  static Credentials insecure() { return Credentials(); }
  static Credentials tls(std::string roots = {});
  static Credentials mutual_tls(std::string roots, std::string certificate, std::string key);
};

// A little more than stock servers require, since their clock is not ours.
inline constexpr Duration kKeepaliveDefault = std::chrono::seconds(330);

struct ChannelOptions {
  // HOST:PORT, or any target of gRPC (dns:///..., unix:PATH). Not used if `resolve` is set.
  std::string address = {};
  // Called for the address on every attempt.
  std::function<Async<std::string>()> resolve = nullptr;
  Credentials credentials = Credentials();
  // Called on every attempt, in place of `credentials`: for certificates that are renewed on disk
  // while the program runs. If it fails, the attempt fails. Default: none.
  std::function<Result<Credentials>()> renew_credentials = nullptr;
  // How long one attempt may take until the channel is ready. Default 10 s. The addresses of a name
  // share it equally: one that never answers leaves the others their time.
  Duration connect_deadline = std::chrono::seconds(10);
  // The time without traffic after which to ping, and the longest wait for the answer. Default 5.5
  // minutes and 20 s; kForever for the first: no pings. Stock servers disconnect a client that
  // pings more often than every 5 minutes ("too_many_pings"). Make it shorter if the server allows
  // it: Semper's servers allow 1 s (ServerOptions::min_keepalive), etcd 5 s. A durable channel that
  // is disconnected because of its pings pings half as often from then on.
  Duration keepalive = kKeepaliveDefault;
  Duration keepalive_timeout = std::chrono::seconds(20);
  // Whether to ping while there are no calls. Default: no, because stock servers disconnect a
  // client that does. Use `always` for servers that allow it (such as Semper's): a loss is then
  // noticed before the next call.
  enum class PingWhen { always, during_calls };
  PingWhen ping_when = PingWhen::during_calls;
  // Whether to use the HTTP proxy that grpc_proxy, https_proxy or http_proxy names (the first one
  // set), except for addresses in no_grpc_proxy or no_proxy (names, suffixes, networks such as
  // 10.0.0.0/8, *). Default: as these variables say. This machine is always reached directly.
  enum class HttpProxy { of_environment, none };
  HttpProxy http_proxy = HttpProxy::of_environment;
  // The maximum size of a received message. Default 4 MiB.
  std::size_t max_message_bytes = std::size_t{4} << 20;
  // Replaces the host name against which a certificate is checked; for tests.
  std::string tls_name_override = {};
};

class Channel {
 public:
  // False from the moment gRPC has noticed the loss, or after give_up(). Does not wait.
  bool is_ready() const;
  // Call it if you have reason to doubt the connection, such as a call without an answer: the
  // durable channel reconnects at its next use. Calls in progress continue. It affects only this
  // connection, not one that was made since.
  void give_up();
  const std::string& address() const;

 private:
  friend class ChannelAccess;
  struct Impl;
  explicit Channel(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

// One attempt: a channel that was ready when it was returned. `unsupported` in a forked child whose
// parent has used channels or servers (env/fork.h). Calls on the parent's channels are, too.
Async<Channel> connect(ChannelOptions options);

// `durable` sets the pace, deadlines, repair and a name (default: "grpc ADDRESS"). Connects lazily.
Durable<Channel> durable_channel(ChannelOptions options,
                                 DurableOptions<Channel> durable = DurableOptions<Channel>());
// Makes the first attempt at once; if it fails, returns its error.
Async<Durable<Channel>> durable_channel_or_fail(
    ChannelOptions options, DurableOptions<Channel> durable = DurableOptions<Channel>());

// Asks the server's grpc.health.v1 service whether it serves `service` (empty: the server itself).
// Errors: not_found (it knows no such service), unsupported (no health service), retry (not
// serving), or those of a call. For DurableOptions::probe:
//   options.probe = [](rpc::Channel& c) { return rpc::check_health(c, "", 2s); };
Async<void> check_health(Channel channel, std::string service, Duration deadline);

}  // namespace semper::rpc
