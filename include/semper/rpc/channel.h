// A durable gRPC channel: a connection to a server that is made again when it breaks.
//
// What for: every call and stream of this room goes over one. When not: a program that has
// channels of its own from generated code and needs no healing.
//
//   auto channel = rpc::durable_channel({.address = "prices.example:443",
//                                        .credentials = rpc::Credentials::tls()});
//   auto answer = co_await channel.with(
//       [&](rpc::Channel& c) { return rpc::call(c, "/prices.Prices/Get", request); });
//
// A channel is broken when gRPC does not call it ready (Channel::is_ready): its transport is lost,
// it was shut down or given up. It is made again by the next `with`, at the pace of DurableOptions,
// not of gRPC, whose own pauses are turned down; each attempt asks for the address anew (`resolve`)
// and for its name's addresses anew, and shares no connection with another channel.
//
// A peer that is stopped or unreachable closes nothing, and only pings tell. How often a client may
// ping is the server's to say, so the default is slow: what stock gRPC servers of every language
// allow. Set ChannelOptions::keepalive where you know the server (Semper's allow a ping each
// second), or a DurableOptions::probe with check_health, and a loss is noticed in seconds.
//
// A call that the server certainly did not see (it was told to go away meanwhile) is sent again by
// gRPC over a new connection. Nothing else is sent twice.
//
// Errors of an attempt:
//   io                 nobody there, refused, or the handshake (TLS) failed; says what gRPC says of
//                      it, and which proxy of the environment was on the way or left out; try later
//   timeout            not ready within connect_deadline; try later
//   invalid_argument   an address or credentials that gRPC cannot use; correct them
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

// Who the two sides are to each other. A value; the secrets stay in memory while it does.
struct Credentials {
  enum class Kind { insecure, tls };
  Kind kind = Kind::insecure;
  // PEM: who may have signed the server's certificate. Empty: the machine's usual list.
  std::string root_certificates = {};
  // PEM: ours, for mutual TLS. Both or none.
  std::string certificate = {};
  std::string private_key = {};
  // Asked before each call; sent as `authorization: Bearer TOKEN`. It must not block: gRPC's
  // threads call it. Its error fails the call. Needs tls; not sent over an open connection.
  std::function<Result<std::string>()> token = nullptr;

  // Everybody on the way reads and changes what is sent: for loopback and tests.
  static Credentials insecure() { return Credentials(); }
  static Credentials tls(std::string roots = {});
  static Credentials mutual_tls(std::string roots, std::string certificate, std::string key);
};

// A little more than stock servers ask for, since their clock is not ours.
inline constexpr Duration kKeepaliveDefault = std::chrono::seconds(330);

struct ChannelOptions {
  // HOST:PORT, or any target of gRPC (dns:///..., unix:PATH). Not used where `resolve` is given.
  std::string address = {};
  // Asked for the address on every attempt.
  std::function<Async<std::string>()> resolve = nullptr;
  Credentials credentials = Credentials();
  // Asked on every attempt, in the place of `credentials`: for certificates that are renewed on
  // disk while the program runs. Its error is the attempt's. Default: none.
  std::function<Result<Credentials>()> renew_credentials = nullptr;
  // How long one attempt may take until the channel is ready. Default 10 s.
  Duration connect_deadline = std::chrono::seconds(10);
  // A ping after so long without traffic, and the longest wait for its answer. Default 5.5 minutes
  // and 20 s; kForever for the first: no pings. Stock servers cut off who pings more often than
  // each 5 minutes ("too_many_pings"). Shorter where the server allows it: ours do from 1 s on
  // (ServerOptions::min_keepalive), etcd from 5 s on. A durable channel that is cut off for its
  // pings pings half as often from then on.
  Duration keepalive = kKeepaliveDefault;
  Duration keepalive_timeout = std::chrono::seconds(20);
  // Whether to ping while no call is under way. Default: no, stock servers cut off who does.
  // `always` for servers that allow it (ours): a loss is then noticed before the next call.
  enum class PingWhen { always, during_calls };
  PingWhen ping_when = PingWhen::during_calls;
  // Whether to go through the HTTP proxy that grpc_proxy, https_proxy or http_proxy names (the
  // first that is set), but for what no_grpc_proxy or no_proxy excepts (names, their endings,
  // networks such as 10.0.0.0/8, *). Default: as they say. This machine is always reached directly.
  enum class HttpProxy { of_environment, none };
  HttpProxy http_proxy = HttpProxy::of_environment;
  // One message received, at most. Default 4 MiB.
  std::size_t max_message_bytes = std::size_t{4} << 20;
  // In the place of the host name that a certificate is checked against; for tests.
  std::string tls_name_override = {};
};

class Channel {
 public:
  // False from the moment gRPC has noticed the loss, or after give_up(). Does not wait.
  bool is_ready() const;
  // For who has a reason to doubt it, such as a call without an answer: the durable channel it came
  // from connects anew at its next use. What is under way on it goes on. Of this connection only:
  // one that was made since is not touched.
  void give_up();
  const std::string& address() const;

 private:
  friend class ChannelAccess;
  struct Impl;
  explicit Channel(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
  std::shared_ptr<Impl> impl_;
};

// One attempt: a channel that was ready when it was returned. `unsupported` in a forked child whose
// parent has used channels (env/fork.h).
Async<Channel> connect(ChannelOptions options);

// `durable` says the pace, deadlines, repair and a name (default: "grpc ADDRESS"). Builds lazily.
Durable<Channel> durable_channel(ChannelOptions options,
                                 DurableOptions<Channel> durable = DurableOptions<Channel>());
// The first attempt at once; its error is the answer.
Async<Durable<Channel>> durable_channel_or_fail(
    ChannelOptions options, DurableOptions<Channel> durable = DurableOptions<Channel>());

// Asks the server's grpc.health.v1 service whether it serves `service` (empty: the server itself).
// Errors: not_found (it knows no such service), unsupported (no health service), retry (not
// serving), or those of a call. For DurableOptions::probe:
//   options.probe = [](rpc::Channel& c) { return rpc::check_health(c, "", 2s); };
Async<void> check_health(Channel channel, std::string service, Duration deadline);

}  // namespace semper::rpc
