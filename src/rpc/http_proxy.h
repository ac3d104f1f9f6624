// Which HTTP proxy the environment names for an address: gRPC's rules, and three more.
//
// What for: gRPC's core sends every connection through the proxy of `grpc_proxy`, `https_proxy` or
// `http_proxy` (the first that is set, lower case only), also one to this machine, and understands
// nothing but endings of names in `no_proxy`. Here this machine is never reached through a proxy,
// as in curl, Go and Python, and `no_proxy` may hold networks (10.0.0.0/8), ports (db:2379) and
// `*`.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace semper::rpc {

struct EnvironmentProxy {
  std::string variable;  // the one that names it
  std::string url;       // without a user and password
};

// The value of an environment variable; nullptr: not set.
using EnvironmentLookup = std::function<const char*(const char*)>;

// The proxy through which `target` (HOST:PORT, or a target of gRPC's) would be reached; nothing:
// none.
std::optional<EnvironmentProxy> environment_proxy(const std::string& target,
                                                  const EnvironmentLookup& lookup);
// Of this process.
std::optional<EnvironmentProxy> environment_proxy(const std::string& target);

}  // namespace semper::rpc
