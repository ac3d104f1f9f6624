#include "semper/testing/free_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

#include "semper/env/random.h"

namespace semper::testing {
namespace {

// Above the ports of well-known services, below those that Linux gives to connections (32768).
constexpr std::uint16_t kFirstPort = 15'000;
constexpr std::uint16_t kLastPort = 32'000;
constexpr int kAttempts = 1'000;

bool is_free(std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const bool bound =
      socket >= 0 && ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  if (socket >= 0) ::close(socket);
  return bound;
}

}  // namespace

std::uint16_t free_port() {
  for (int i = 0; i < kAttempts; ++i) {
    const auto offset = system_random().below(kLastPort - kFirstPort);
    const auto port = static_cast<std::uint16_t>(kFirstPort + offset);
    if (is_free(port)) return port;
  }
  throw std::runtime_error("no free port on loopback");
}

}  // namespace semper::testing
