#include "semper/durable/tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <utility>

#include "semper/durable/system_errors.h"

namespace semper {
namespace {

constexpr std::size_t kReadAtOnce = 16 * 1024;
constexpr int kKeepaliveProbes = 3;

using asio::ip::tcp;

auto into(std::error_code& code) {
  return asio::redirect_error(asio::use_awaitable, code);
}

std::string place_of(const TcpOptions& options) {
  const bool is_ipv6 = options.host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + options.host + "]" : options.host) + ":" + std::to_string(options.port);
}

template <class Unit>
int count_of(Duration span) {
  const auto units = std::chrono::ceil<Unit>(span).count();
  return static_cast<int>(std::clamp<std::int64_t>(units, 1, std::numeric_limits<int>::max()));
}

// An option that the system refuses is left as it is: the connection works without.
void set_option(int descriptor, int level, int option, int value) {
  ::setsockopt(descriptor, level, option, &value, sizeof value);
}

void set_options(int descriptor, const TcpOptions& options) {
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  if (options.keepalive != kForever) {
    set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE,
               count_of<std::chrono::seconds>(options.keepalive));
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL,
               count_of<std::chrono::seconds>(options.keepalive / kKeepaliveProbes));
    set_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, kKeepaliveProbes);
  }
  if (options.user_timeout != kForever) {
    set_option(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT,
               count_of<std::chrono::milliseconds>(options.user_timeout));
  }
}

template <class Options>
void complete(Options& options, const TcpOptions& tcp) {
  if (options.name == DurableOptions<TcpConnection>().name) options.name = "tcp " + place_of(tcp);
  if (options.attempt_deadline == kForever) options.attempt_deadline = tcp.connect_timeout;
  options.access = Access::exclusive;
}

auto builder_of(TcpOptions tcp) {
  auto shared = std::make_shared<const TcpOptions>(std::move(tcp));
  return [shared] { return connect_tcp(*shared); };
}

bool is_broken(const TcpConnection& connection) {
  return connection.is_broken();
}

}  // namespace

TcpConnection::TcpConnection(tcp::socket socket, const TcpOptions& options)
    : socket_(std::move(socket)),
      peer_(place_of(options)),
      max_line_(options.max_line),
      unasked_(options.unasked) {}

Error TcpConnection::failed(const std::error_code& code, const char* what) {
  has_failed_ = true;
  return error_from_system(code, peer_ + ": " + what);
}

Async<void> TcpConnection::write(std::string_view bytes) {
  if (has_failed_) co_return fail(ErrorKind::io, peer_ + ": the connection has failed before");
  std::error_code code;
  co_await asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()), into(code));
  if (code) co_return fail(failed(code, "writing"));
  co_return Status();
}

Async<std::string> TcpConnection::read_until(std::string_view end) {
  if (has_failed_) co_return fail(ErrorKind::io, peer_ + ": the connection has failed before");
  const std::string until(end);
  std::error_code code;
  const std::size_t bytes = co_await asio::async_read_until(
      socket_, asio::dynamic_buffer(unread_, max_line_ + until.size()), until, into(code));
  if (code == asio::error::not_found) {
    has_failed_ = true;
    co_return fail(ErrorKind::exhausted, Limit{"max_line", max_line_},
                   peer_ + ": max_line (" + std::to_string(max_line_) +
                       ") bytes came without the end that was waited for");
  }
  if (code) co_return fail(failed(code, "reading"));
  std::string line = unread_.substr(0, bytes - until.size());
  unread_.erase(0, bytes);
  co_return line;
}

Async<std::string> TcpConnection::read(std::size_t bytes) {
  if (has_failed_) co_return fail(ErrorKind::io, peer_ + ": the connection has failed before");
  if (bytes > max_line_) {
    has_failed_ = true;
    co_return fail(ErrorKind::exhausted, Limit{"max_line", max_line_},
                   peer_ + ": " + std::to_string(bytes) + " bytes are more than max_line (" +
                       std::to_string(max_line_) + ")");
  }
  while (unread_.size() < bytes) {
    const std::size_t had = unread_.size();
    std::error_code code;
    unread_.resize(std::min(bytes, had + kReadAtOnce));
    const std::size_t got = co_await socket_.async_read_some(
        asio::buffer(unread_.data() + had, unread_.size() - had), into(code));
    unread_.resize(had + got);
    if (code) co_return fail(failed(code, "reading"));
  }
  std::string block = unread_.substr(0, bytes);
  unread_.erase(0, bytes);
  co_return block;
}

bool TcpConnection::is_broken() const {
  if (has_failed_ || !socket_.is_open()) return true;
  const bool takes_unasked = unasked_ == TcpOptions::Unasked::is_kept;
  if (!unread_.empty() && !takes_unasked) return true;
  pollfd asked{};
  asked.fd = const_cast<tcp::socket&>(socket_).native_handle();
  asked.events = static_cast<short>(takes_unasked ? POLLRDHUP : POLLIN | POLLRDHUP);
  return ::poll(&asked, 1, 0) > 0;
}

Async<TcpConnection> connect_tcp(TcpOptions options) {
  const Executor executor = co_await asio::this_coro::executor;
  const std::string place = place_of(options);
  std::error_code code;
  tcp::resolver resolver(executor);
  const std::string port = std::to_string(options.port);
  const auto addresses = co_await resolver.async_resolve(options.host, port, into(code));
  if (code) co_return fail(error_from_system(code, place + ": looking for its address"));
  tcp::socket socket(executor);
  co_await asio::async_connect(socket, addresses, into(code));
  if (code) co_return fail(error_from_system(code, place + ": connecting"));
  set_options(socket.native_handle(), options);
  TcpConnection made(std::move(socket), options);
  if (options.login) SEMPER_CO_TRY_STATUS(co_await options.login(made));
  co_return made;
}

Durable<TcpConnection> durable_tcp(TcpOptions tcp, DurableOptions<TcpConnection> options) {
  complete(options, tcp);
  return Durable<TcpConnection>::create(builder_of(std::move(tcp)), is_broken, std::move(options));
}

Pool<TcpConnection> tcp_pool(TcpOptions tcp, PoolOptions<TcpConnection> options) {
  complete(options.each, tcp);
  return Pool<TcpConnection>::create(builder_of(std::move(tcp)), is_broken, std::move(options));
}

}  // namespace semper
