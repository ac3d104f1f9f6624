#include "options.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

namespace semper::etcd {
namespace {

constexpr std::size_t kSecretFileBytesMaximum = std::size_t{1} << 20;

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorKind::invalid_argument, std::move(message));
}

Result<std::string> read_file(const StoreUrl& url, std::string_view parameter) {
  const std::string path = *url.parameter(parameter);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return fail(error_from_errno(errno == 0 ? EIO : errno,
                                 "cannot read the file of store URL parameter " +
                                     std::string(parameter) + "=" + to_printable(path)));
  }
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (text.empty() || text.size() > kSecretFileBytesMaximum) {
    return bad("the file of store URL parameter " + std::string(parameter) + "=" +
               to_printable(path) + " is empty or over 1 MiB");
  }
  return text;
}

Result<std::string> endpoint_of(std::string text) {
  if (text.find("://") != std::string::npos) {
    return bad("endpoint \"" + to_printable(text) +
               "\" has a scheme; write HOST:PORT, and ?tls=on where the cluster speaks TLS");
  }
  const auto colon = text.rfind(':');
  const auto bracket = text.rfind(']');
  const bool brackets = text.starts_with('[') && bracket != std::string::npos;
  if (!brackets && (text.find('[') != std::string::npos || text.find(':') != colon)) {
    return bad("endpoint \"" + to_printable(text) +
               "\" is not of the form HOST:PORT; an IPv6 address stands in brackets, [::1]:2379");
  }
  const bool has_port =
      colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  if (!has_port) text = text + ':' + kDefaultPort;
  const auto port = text.substr(text.rfind(':') + 1);
  const bool digits =
      !port.empty() && port.size() <= 5 &&
      std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (text.rfind(':') == 0 || !digits || std::stoi(port) == 0 || std::stoi(port) > 65535) {
    return bad("endpoint \"" + to_printable(text) + "\" is not of the form HOST:PORT");
  }
  return text;
}

// "//HOST:PORT" is how most other programs' URLs begin.
Result<std::vector<std::string>> endpoints_of(std::string path) {
  if (path.starts_with("//")) path.erase(0, 2);
  std::vector<std::string> endpoints;
  std::size_t at = 0;
  while (at <= path.size()) {
    const auto comma = std::min(path.find(',', at), path.size());
    auto text = path.substr(at, comma - at);
    at = comma + 1;
    if (text.empty()) {
      return bad(
          "an etcd: URL needs the addresses of the cluster, for example "
          "etcd:10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379");
    }
    SEMPER_TRY(auto endpoint, endpoint_of(std::move(text)));
    endpoints.push_back(std::move(endpoint));
  }
  if (endpoints.size() > kEndpointsMaximum) {
    return bad("an etcd: URL names at most " + std::to_string(kEndpointsMaximum) + " endpoints");
  }
  return endpoints;
}

bool is_loopback(const std::string& endpoint) {
  const auto host = endpoint.substr(0, endpoint.rfind(':'));
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

Result<rpc::Credentials> read_credentials(const StoreUrl& url) {
  const auto tls = url.parameter("tls");
  if (tls && *tls != "on") return bad("store URL parameter tls is tls=on, or left out");
  const bool own = url.parameter("cert") || url.parameter("key");
  if (!tls && !own && !url.parameter("ca") && !url.parameter("server_name")) {
    return rpc::Credentials::insecure();
  }
  auto credentials = rpc::Credentials::tls();
  if (url.parameter("ca")) {
    SEMPER_TRY(credentials.root_certificates, read_file(url, "ca"));
  }
  if (!own) return credentials;
  if (!url.parameter("cert") || !url.parameter("key")) {
    return bad("store URL parameters cert and key come together");
  }
  SEMPER_TRY(credentials.certificate, read_file(url, "cert"));
  SEMPER_TRY(credentials.private_key, read_file(url, "key"));
  return credentials;
}

Result<std::string> read_password(const StoreUrl& url) {
  if (url.parameter("password_file")) {
    SEMPER_TRY(std::string password, read_file(url, "password_file"));
    while (password.ends_with('\n') || password.ends_with('\r')) password.pop_back();
    return password;
  }
  const char* const given = std::getenv(kPasswordVariable);
  if (given == nullptr) {
    return bad("store URL parameter user needs password_file=FILE, or the environment variable " +
               std::string(kPasswordVariable));
  }
  return std::string(given);
}

Status read_user(const StoreUrl& url, EtcdOptions& options) {
  options.user = url.parameter("user").value_or("");
  if (options.user.empty()) {
    if (url.parameter("password_file")) return bad("store URL parameter password_file needs user");
    return {};
  }
  const bool open = options.credentials.kind == rpc::Credentials::Kind::insecure;
  if (open && !std::all_of(options.endpoints.begin(), options.endpoints.end(), is_loopback)) {
    return bad("a password is sent over TLS or to this machine only; add tls=on");
  }
  SEMPER_TRY(options.password, read_password(url));
  options.renew_password = [url] { return read_password(url); };
  return {};
}

}  // namespace

Result<EtcdOptions> parse_options(const StoreUrl& url) {
  if (url.parameter("password")) {
    // Not printed: it would stand in logs.
    return bad(
        "a password does not belong into a URL; use password_file=FILE, or the environment "
        "variable " +
        std::string(kPasswordVariable));
  }
  SEMPER_TRY_STATUS(url.allow_only({"prefix", "tls", "ca", "cert", "key", "server_name", "user",
                                    "password_file", "http_proxy"}));
  EtcdOptions options;
  options.url = url.to_string();
  SEMPER_TRY(options.endpoints, endpoints_of(url.path));
  options.prefix = url.parameter("prefix").value_or(kDefaultPrefix);
  if (options.prefix.empty() || options.prefix.size() > kPrefixBytesMaximum) {
    return bad("store URL parameter prefix is 1 to " + std::to_string(kPrefixBytesMaximum) +
               " bytes long; all keys of the store begin with it");
  }
  if (const auto proxy = url.parameter("http_proxy")) {
    if (*proxy != "on") return bad("store URL parameter http_proxy is http_proxy=on, or left out");
    options.http_proxy = rpc::ChannelOptions::HttpProxy::of_environment;
  }
  SEMPER_TRY(options.credentials, read_credentials(url));
  options.renew_credentials = [url] { return read_credentials(url); };
  options.server_name = url.parameter("server_name").value_or("");
  SEMPER_TRY_STATUS(read_user(url, options));
  return options;
}

}  // namespace semper::etcd
