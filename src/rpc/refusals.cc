#include "rpc/refusals.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>

#include "semper/base/bytes.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/clock.h"

namespace semper::rpc {
namespace {

// Those of gRPC's targets; anything else before "://" is a habit of other programs.
constexpr std::array<std::string_view, 8> kSchemes = {"dns",  "unix", "unix-abstract", "ipv4",
                                                      "ipv6", "xds",  "google-c2p",    "vsock"};
constexpr int kLargestPort = 65535;

Error unusable(const std::string& address, const std::string& why) {
  return Error(ErrorKind::invalid_argument, "the address \"" + to_printable(address) + "\" " + why);
}

}  // namespace

bool is_target(const std::string& address) {
  const auto colon = address.find(':');
  return colon != std::string::npos &&
         std::find(kSchemes.begin(), kSchemes.end(), std::string_view(address).substr(0, colon)) !=
             kSchemes.end();
}

namespace {

// The file of a `unix:` address; nothing: it is none.
std::optional<std::string> socket_path(const std::string& address) {
  constexpr std::string_view kUnix = "unix:";
  if (!address.starts_with(kUnix)) return std::nullopt;
  std::string path = address.substr(kUnix.size());
  if (path.starts_with("//")) path.erase(0, 2);
  return path;
}

}  // namespace

Result<HostAndPort> parse_host_and_port(const std::string& address) {
  HostAndPort place;
  std::string rest;
  if (address.starts_with('[')) {
    const auto end = address.find(']');
    if (end == std::string::npos) return fail(unusable(address, "has no closing bracket"));
    place.in_brackets = true;
    place.host = address.substr(1, end - 1);
    rest = address.substr(end + 1);
  } else {
    const auto colon = address.find(':');
    if (colon != std::string::npos && address.find(':', colon + 1) != std::string::npos) {
      return fail(unusable(address,
                           "has several colons; an IPv6 address stands in brackets, "
                           "[::1]:7007"));
    }
    place.host = address.substr(0, colon);
    rest = colon == std::string::npos ? "" : address.substr(colon);
  }
  if (place.host.empty()) {
    return fail(unusable(address,
                         "names no host; write HOST:PORT ([::]:PORT to listen "
                         "everywhere)"));
  }
  if (rest.empty()) return place;
  if (!rest.starts_with(':')) return fail(unusable(address, "is not of the form HOST:PORT"));
  place.port = rest.substr(1);
  return place;
}

namespace {

bool is_port(const std::string& text) {
  constexpr std::size_t kDigits = 5;
  return !text.empty() && text.size() <= kDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }) &&
         std::stoi(text) <= kLargestPort;
}

std::string problem_of(int error) {
  switch (error) {
    case EADDRINUSE:
      return "another program listens there; end it, or take another port";
    case EADDRNOTAVAIL:
      return "that is no address of this machine";
    case EACCES:
      return "this user may not take that port (those below 1024 need root or "
             "CAP_NET_BIND_SERVICE)";
    default:
      return std::strerror(error);
  }
}

int listen_once(const addrinfo& place) {
  const int socket = ::socket(place.ai_family, place.ai_socktype | SOCK_CLOEXEC, 0);
  if (socket < 0) return errno;
  const int on = 1;
  int error = 0;
  if (::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::bind(socket, place.ai_addr, place.ai_addrlen) != 0 || ::listen(socket, 1) != 0) {
    error = errno;
  }
  ::close(socket);
  return error;
}

std::string why_not_on_port(const HostAndPort& place) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const char* host = place.host == "*" ? nullptr : place.host.c_str();
  const int code = ::getaddrinfo(host, place.port.value_or("0").c_str(), &hints, &found);
  if (code != 0) return std::string("its host has no address: ") + ::gai_strerror(code);
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, ::freeaddrinfo);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (const int error = listen_once(*one); error != 0) return problem_of(error);
  }
  return "";
}

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

std::string why_not_on_socket(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode)) {
    return "something else has that name; remove it, or take another path";
  }
  const std::string folder = folder_of(path);
  if (::access(folder.c_str(), W_OK | X_OK) == 0) return "";
  return errno == ENOENT ? "the folder " + folder + " does not exist"
                         : "in the folder " + folder + ": " + std::strerror(errno);
}

}  // namespace

Status check_address(const std::string& address, AddressUse use) {
  const bool listens = use == AddressUse::listen;
  if (address.empty()) return fail(unusable(address, "is empty; write HOST:PORT"));
  if (const auto path = socket_path(address)) {
    if (path->empty()) return fail(unusable(address, "names no file; write unix:PATH"));
    if (path->size() >= sizeof(sockaddr_un::sun_path)) {
      return fail(unusable(address, "is too long: the system takes paths of 107 bytes"));
    }
    return {};
  }
  if (is_target(address)) return {};
  if (address.find("://") != std::string::npos) {
    return fail(unusable(address,
                         "has a scheme that gRPC does not know; write HOST:PORT, and say "
                         "in the credentials whether it is TLS"));
  }
  SEMPER_TRY(const auto place, parse_host_and_port(address));
  if (!place.port) {
    // To gRPC it is 443 behind a name, and 0 behind the number of a machine.
    const bool is_number =
        place.in_brackets || place.host.find_first_not_of("0123456789.") == std::string::npos;
    if (!listens && !is_number) return {};
    return fail(unusable(address, listens ? "names no port; HOST:0 takes a free one"
                                          : "names no port; write HOST:PORT"));
  }
  if (!listens && (*place.port == "http" || *place.port == "https")) return {};
  if (!is_port(*place.port) || (!listens && std::stoi(*place.port) == 0)) {
    return fail(unusable(address, "has a port that there is not; they are 1 to 65535"));
  }
  return {};
}

Status check_socket_is_free(const std::string& address) {
  const auto path = socket_path(address);
  sockaddr_un name{};
  if (!path || path->size() >= sizeof name.sun_path) return {};
  struct stat status {};
  if (::stat(path->c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return {};
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return {};  // gRPC will say so
  name.sun_family = AF_UNIX;
  path->copy(name.sun_path, path->size());
  const int error =
      ::connect(socket, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0 ? 0 : errno;
  ucred peer{};
  socklen_t length = sizeof peer;
  const bool knows =
      error == 0 && ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0;
  ::close(socket);
  // Left by a process that has ended, or removed since.
  if (error == ECONNREFUSED || error == ENOENT) return {};
  std::string who = "another program listens there";
  if (knows) who = "process " + std::to_string(peer.pid) + " listens there";
  if (error != 0 && error != EAGAIN)
    who = std::string("somebody's socket: ") + std::strerror(error);
  return fail(ErrorKind::io,
              "cannot listen on " + address + ": " + who + "; end it, or take another path");
}

SocketTurn::SocketTurn(const std::string& address) {
  const auto path = socket_path(address);
  if (!path || SEMPER_MUTANT("rpc_two_servers_begin_on_one_socket")) return;
  folder_ = ::open(folder_of(*path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_ < 0) return;  // gRPC will say so
  const auto until = system_clock().after(kSocketTurnPatience);
  while (::flock(folder_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    if (system_clock().now() >= until) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

SocketTurn::~SocketTurn() {
  if (folder_ >= 0) ::close(folder_);
}

std::string why_not_listen(const std::string& address) {
  if (const auto path = socket_path(address)) return why_not_on_socket(*path);
  if (is_target(address)) return "";
  const auto place = parse_host_and_port(address);
  return place ? why_not_on_port(*place) : place.error().message();
}

ConnectionFailure failure_of(const std::string& reason, bool over_tls) {
  const auto says = [&](const char* words) { return reason.find(words) != std::string::npos; };
  if (says("empty address list")) {
    return {true, over_tls ? "gRPC cannot use the TLS credentials: the authorities, certificate or "
                             "key are not PEM, or the key is not that of the certificate"
                           : "gRPC cannot use this address"};
  }
  if (says("DNS resolution failed") || says("Domain name not found")) {
    return {false, "its name has no address (DNS): check the spelling, or name the address itself"};
  }
  if (says("Connection refused")) {
    return {false, "nobody listens there: check that it runs, and the port"};
  }
  if (says("No route to host") || says("Network is unreachable")) {
    return {false,
            "no network leads there: check the address, and routes and firewalls on the way"};
  }
  if (says("before receiving SETTINGS")) {
    return {false,
            "it takes connections and does not answer: it is stopped or overloaded, or no gRPC "
            "server"};
  }
  if (says("No such file or directory")) {
    return {false, "there is no such socket: check that it runs, and the path"};
  }
  if (says("Permission denied")) return {false, "this user may not use that socket"};
  if (says("not in peer certificate")) {
    return {false,
            "its certificate is for other names: use one of them as the address, or make a "
            "certificate for this one"};
  }
  if (says("certificate verify failed")) {
    return {false,
            "its certificate was not accepted: it has expired, is not valid yet, or is signed by "
            "none of the authorities in Credentials::root_certificates (empty: those of this "
            "machine); `openssl s_client -connect HOST:PORT` shows it"};
  }
  if (says("wrong version number") || says("packet length too long")) {
    return {false, "it does not speak TLS there: check the port, or use insecure credentials"};
  }
  if (says("http1.x server") || says("Failed parsing HTTP/2")) {
    return {false, "what listens there is no gRPC server: check the port"};
  }
  if (says("Socket closed") || says("reset by peer") || says("Broken pipe") || says("EOF")) {
    return {false, over_tls ? "it closed the connection: does it ask for a client's certificate "
                              "(mutual TLS), and accept the one that was shown?"
                            : "it closed the connection: does it speak TLS only, or is it no gRPC "
                              "server?"};
  }
  return {false,
          over_tls ? "it cannot be reached, or the TLS handshake failed" : "it cannot be reached"};
}

}  // namespace semper::rpc
