// Why there is no connection, or no listener: in words that say what to do, where gRPC has none or
// does something else than it was asked to.
#pragma once

#include <optional>
#include <string>

#include "semper/base/result.h"
#include "semper/env/env.h"

namespace semper::rpc {

enum class AddressUse { connect, listen };

struct HostAndPort {
  std::string host;
  std::optional<std::string> port;
  bool in_brackets = false;
};
Result<HostAndPort> parse_host_and_port(const std::string& address);

// It begins with a scheme that gRPC knows.
bool is_target(const std::string& address);

// Error invalid_argument: gRPC would take something else for it (port 99999 is 34463 to it, and no
// port is 443), or nothing at all.
Status check_address(const std::string& address, AddressUse use);

// Before gRPC listens on a `unix:` address: it removes whatever socket it finds there, also that of
// a server that runs. Error io: somebody listens there. With the socket's turn.
Status check_socket_is_free(const std::string& address);

// Of servers that begin to listen on one socket at the same moment, in whichever processes, one has
// the turn, until it listens. It is a lock (flock) on the socket's folder, which somebody else may
// hold for reasons of their own: it is waited for kSocketTurnPatience at most.
inline constexpr Duration kSocketTurnPatience = std::chrono::seconds(2);
class SocketTurn {
 public:
  explicit SocketTurn(const std::string& address);
  SocketTurn(const SocketTurn&) = delete;
  SocketTurn& operator=(const SocketTurn&) = delete;
  ~SocketTurn();

 private:
  int folder_ = -1;
};

// Why nobody can listen there, asked of the system itself; empty: it has no objections.
std::string why_not_listen(const std::string& address);

// What gRPC's words for a failed connection mean, and what to do.
struct ConnectionFailure {
  bool is_permanent = false;  // gRPC cannot use what it was given
  std::string cause;
};
ConnectionFailure failure_of(const std::string& reason, bool over_tls);

}  // namespace semper::rpc
