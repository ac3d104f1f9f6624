// A durable TCP connection: one question at a time, each with one line as its answer.
#include <semper/durable/tcp.h>

#include "connections.h"

using namespace std::chrono_literals;

namespace connections {
namespace {

// begin
using Echo = semper::Durable<semper::TcpConnection>;

Echo echo_server(std::string host, std::uint16_t port) {
  semper::DurableOptions<semper::TcpConnection> options;
  options.with = {.deadline = 5s, .when_down = semper::WhenDown::wait};
  return semper::durable_tcp({.host = host, .port = port}, options);
}

semper::Async<std::string> ask(Echo echo, std::string words) {
  const std::string line = words + "\n";
  auto f = [&](semper::TcpConnection& server) -> semper::Async<std::string> {
    SEMPER_CO_TRY_STATUS(co_await server.write(line));
    co_return co_await server.read_until("\n");
  };
  co_return co_await echo.with(f);
}
// end

}  // namespace

Ask tcp_echo(std::string host, std::uint16_t port) {
  return [echo = echo_server(std::move(host), port)](std::string words) {
    return ask(echo, std::move(words));
  };
}

}  // namespace connections
