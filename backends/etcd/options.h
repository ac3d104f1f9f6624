// EtcdOptions: what an etcd: URL says, checked.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "semper/rpc/channel.h"
#include "semper/store/backend.h"

namespace semper::etcd {

inline constexpr std::size_t kEndpointsMaximum = 16;
inline constexpr std::size_t kPrefixBytesMaximum = 64;
inline constexpr const char* kDefaultPrefix = "semper/";
inline constexpr const char* kDefaultPort = "2379";
// Where the password is looked for when a user is given without password_file.
inline constexpr const char* kPasswordVariable = "SEMPER_ETCD_PASSWORD";

struct EtcdOptions {
  std::string url;  // as given: it can hold no secret
  std::vector<std::string> endpoints;
  Bytes prefix = kDefaultPrefix;
  rpc::Credentials credentials;
  // They and the password again, from files that may have been renewed since.
  std::function<Result<rpc::Credentials>()> renew_credentials;
  std::function<Result<std::string>()> renew_password;
  // The name that the servers' certificates are checked against; empty: the endpoint's own.
  std::string server_name;
  std::string user;
  std::string password;
  // As etcdctl: a cluster is reached directly unless the URL says otherwise.
  rpc::ChannelOptions::HttpProxy http_proxy = rpc::ChannelOptions::HttpProxy::none;
};

// Reads the files that the URL names. Errors: invalid_argument, not_found and permission (of those
// files).
Result<EtcdOptions> parse_options(const StoreUrl& url);

}  // namespace semper::etcd
