// Lines come back as they are.
#include <semper/env/asio_net.h>
#include <semper/env/scheduler.h>

#include "connections.h"

namespace connections {
namespace {

using asio::ip::tcp;

semper::Task<void> serve(tcp::socket socket) {
  std::string bytes;
  while (true) {
    std::error_code code;
    auto into_code = asio::redirect_error(asio::use_awaitable, code);
    const auto length =
        co_await asio::async_read_until(socket, asio::dynamic_buffer(bytes), '\n', into_code);
    if (code) co_return;
    co_await asio::async_write(socket, asio::buffer(bytes.data(), length), into_code);
    if (code) co_return;
    bytes.erase(0, length);
  }
}

semper::Task<int> accept_all(std::uint16_t port) {
  const auto executor = co_await asio::this_coro::executor;
  const tcp::endpoint here(asio::ip::address_v4::loopback(), port);
  tcp::acceptor acceptor(executor, here, true);
  while (true) {
    auto socket = co_await acceptor.async_accept(asio::use_awaitable);
    asio::co_spawn(executor, serve(std::move(socket)), asio::detached);
  }
}

}  // namespace

int serve_echo(std::uint16_t port) {
  return semper::run(accept_all(port));
}

}  // namespace connections
