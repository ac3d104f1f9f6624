#include "semper/durable/tcp.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "durable/tcp_race.h"
#include "semper/base/assert.h"
#include "semper/durable/system_errors.h"
#include "semper/env/blocking.h"
#include "semper/env/internal/cancellable.h"
#include "semper/env/one_shot.h"
#include "semper/env/serial.h"

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

// Blocks.
Result<std::vector<tcp::endpoint>> look_up(const TcpOptions& options) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error =
      ::getaddrinfo(options.host.c_str(), std::to_string(options.port).c_str(), &hints, &found);
  const std::string what = place_of(options) + ": looking for its address";
  if (error == EAI_SYSTEM) return fail(error_from_errno(errno, what));
  if (error != 0) return fail(ErrorKind::io, what + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  std::vector<tcp::endpoint> endpoints;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    tcp::endpoint endpoint;
    if (one->ai_addrlen > endpoint.capacity()) continue;
    std::memcpy(endpoint.data(), one->ai_addr, one->ai_addrlen);
    endpoint.resize(one->ai_addrlen);
    endpoints.push_back(endpoint);
  }
  return endpoints;
}

// Not with Asio's resolver: it has one thread for each loop, and a name that nobody answers for
// would keep the others waiting.
Async<std::vector<tcp::endpoint>> addresses_of(const TcpOptions& options) {
  std::error_code code;
  const auto address = asio::ip::make_address(options.host, code);
  if (!code) co_return std::vector<tcp::endpoint>(1, tcp::endpoint(address, options.port));
  auto ask = [&options] { return look_up(options); };
  co_return co_await run_blocking(std::move(ask));
}

}  // namespace

// What of a connection is on the socket's executor, too. The socket goes with its loop, where that
// goes first: nothing of Asio's may be touched after.
struct TcpConnection::Core final : private internal::WaiterHook {
  Core(tcp::socket given, const TcpOptions& options)
      : peer(place_of(options)),
        max_line(options.max_line),
        unasked(options.unasked),
        loop_(&context_of(given.get_executor())),
        registry_(internal::WaiterRegistry::of(context_of(given.get_executor()))),
        socket_(std::move(given)) {
    auto locked = registry_->lock();
    registry_->link(*this);
  }
  ~Core() override {
    auto locked = registry_->lock();
    registry_->unlink(*this);
    socket_.reset();  // with the lock: its loop is there
  }

  static asio::execution_context& context_of(const Executor& executor) {
    return asio::query(executor, asio::execution::context_as<asio::execution_context&>);
  }

  Error failed(const std::error_code& code, const char* what) const {
    return error_from_system(code, peer + ": " + what);
  }
  Error loop_is_gone() const {
    return Error(ErrorKind::io, peer + ": the loop of the connection's socket is gone");
  }

  // On the socket's loop only.
  tcp::socket& socket() {
    SEMPER_ASSERT(socket_, "who uses a socket runs on its loop");
    return *socket_;
  }
  bool is_of_loop(const Executor& executor) {
    if (&context_of(executor) != loop_) return false;
    auto locked = registry_->lock();
    return socket_.has_value();  // else it is another one, at the same address
  }
  // Runs `work` on the socket's loop, or destroys it where that is gone first. False: it is gone.
  bool post(std::function<void(const Executor&)> work) {
    auto locked = registry_->lock();
    if (!socket_) return false;
    const Executor executor = socket_->get_executor();
    asio::post(executor, [executor, run = std::move(work)] { run(executor); });
    return true;
  }
  bool looks_intact(short events) {
    auto locked = registry_->lock();
    if (!socket_ || !socket_->is_open()) return false;
    pollfd asked{};
    asked.fd = socket_->native_handle();
    asked.events = events;
    return ::poll(&asked, 1, 0) == 0;
  }

  std::string unread;  // of whoever uses the connection, until has_failed
  const std::string peer;
  const std::size_t max_line;
  const TcpOptions::Unasked unasked;
  std::atomic<bool> has_failed{false};  // an operation failed, or did not come to its end

 private:
  std::shared_ptr<void> surrender() override {
    auto given_up = std::make_shared<std::optional<tcp::socket>>(std::move(socket_));
    socket_.reset();
    return given_up;
  }

  const void* const loop_;
  const std::shared_ptr<internal::WaiterRegistry> registry_;
  std::optional<tcp::socket> socket_;  // changed with the registry's lock
};

// One operation: on the caller's own executor where that is of the socket's loop, otherwise on the
// socket's. Asio keeps what the caller waits with in the socket's loop, which would resume it on a
// loop that may be gone; a OneShot does not.
class TcpConnection::Operation {
 public:
  using Shared = std::shared_ptr<Core>;

  // The connection has failed unless the operation succeeds.
  template <class T>
  static Async<T> run(Shared core, Async<T> operation) {
    if (core->has_failed) {
      co_return fail(ErrorKind::io, core->peer + ": the connection has failed before");
    }
    Unfinished unfinished(*core);
    const Executor caller = co_await asio::this_coro::executor;
    auto placed =
        core->is_of_loop(caller) ? std::move(operation) : run_there<T>(core, std::move(operation));
    auto result = co_await std::move(placed);
    if (result) unfinished.has_succeeded();
    co_return result;
  }

  // Of the caller's bytes, or of their copy where the caller may go before this.
  static Async<void> write_to(Shared core, std::string_view bytes) {
    const Executor caller = co_await asio::this_coro::executor;
    std::string copy;
    if (!core->is_of_loop(caller)) copy = bytes;
    auto operation = copy.empty() ? write(core, bytes) : write_own(core, std::move(copy));
    co_return co_await run(std::move(core), std::move(operation));
  }

  static Async<void> write(Shared core, std::string_view bytes) {
    std::error_code code;
    co_await asio::async_write(core->socket(), asio::buffer(bytes.data(), bytes.size()),
                               into(code));
    if (code) co_return fail(core->failed(code, "writing"));
    co_return Status();
  }
  static Async<void> write_own(Shared core, std::string bytes) {
    co_return co_await write(std::move(core), bytes);
  }

  static Async<std::string> read_until(Shared core, std::string until) {
    std::error_code code;
    const std::size_t bytes = co_await asio::async_read_until(
        core->socket(), asio::dynamic_buffer(core->unread, core->max_line + until.size()), until,
        into(code));
    if (code == asio::error::not_found) {
      co_return fail(ErrorKind::exhausted, Limit{"max_line", core->max_line},
                     core->peer + ": max_line (" + std::to_string(core->max_line) +
                         ") bytes came without the end that was waited for");
    }
    if (code) co_return fail(core->failed(code, "reading"));
    std::string line = core->unread.substr(0, bytes - until.size());
    core->unread.erase(0, bytes);
    co_return line;
  }

  static Async<std::string> read(Shared core, std::size_t bytes) {
    if (bytes > core->max_line) {
      co_return fail(ErrorKind::exhausted, Limit{"max_line", core->max_line},
                     core->peer + ": " + std::to_string(bytes) + " bytes are more than max_line (" +
                         std::to_string(core->max_line) + ")");
    }
    std::string part;  // a read that is cut off leaves no room that was made for it
    while (core->unread.size() < bytes) {
      std::error_code code;
      part.resize(std::min(bytes - core->unread.size(), kReadAtOnce));
      const std::size_t got =
          co_await core->socket().async_read_some(asio::buffer(part), into(code));
      core->unread.append(part, 0, got);
      if (code) co_return fail(core->failed(code, "reading"));
    }
    std::string block = core->unread.substr(0, bytes);
    core->unread.erase(0, bytes);
    co_return block;
  }

 private:
  struct Unfinished {
    explicit Unfinished(Core& of) : core(of) {}
    Unfinished(const Unfinished&) = delete;
    Unfinished& operator=(const Unfinished&) = delete;
    ~Unfinished() {
      if (!succeeded) core.has_failed = true;
    }
    void has_succeeded() { succeeded = true; }
    Core& core;
    bool succeeded = false;
  };

  // Answers where the operation's coroutine is destroyed, too.
  template <class T>
  struct Answer {
    explicit Answer(OneShot<Result<T>> given) : to(std::move(given)) {}
    Answer(const Answer&) = delete;
    Answer& operator=(const Answer&) = delete;
    ~Answer() { to.set(fail(ErrorKind::closed, "the executor of the socket is gone")); }
    OneShot<Result<T>> to;
  };

  template <class T>
  static Async<T> run_there(Shared core, Async<T> work) {
    OneShot<Result<T>> answer;
    auto task = std::make_shared<internal::Cancellable>();
    const internal::CancelOnExit cancel(task);
    auto owner = std::make_unique<Answer<T>>(answer);
    auto there = std::make_shared<Async<T>>(std::move(work));
    auto given = std::make_shared<std::unique_ptr<Answer<T>>>(std::move(owner));
    std::function<void(const Executor&)> start = [task, there, given](const Executor& executor) {
      internal::Cancellable::start(task, serial_executor(executor),
                                   answer_with(std::move(*there), std::move(*given)));
    };
    if (!core->post(std::move(start))) co_return fail(core->loop_is_gone());
    auto answered = co_await answer.wait();
    if (!answered) co_return fail(answered.error());
    co_return std::move(*answered);
  }

  template <class T>
  static Task<void> answer_with(Async<T> work, std::unique_ptr<Answer<T>> answer) {
    Result<T> result = fail(ErrorKind::cancelled, "the operation was cancelled");
    try {
      result = co_await std::move(work);
    } catch (const std::exception&) {
      // As it is above: Asio throws where a cancelled coroutine goes on.
    }
    answer->to.set(std::move(result));
  }
};

TcpConnection::TcpConnection(tcp::socket socket, const TcpOptions& options)
    : core_(std::make_shared<Core>(std::move(socket), options)) {}

tcp::socket& TcpConnection::socket() {
  return core_->socket();
}

Async<void> TcpConnection::write(std::string_view bytes) {
  return Operation::write_to(core_, bytes);
}

Async<std::string> TcpConnection::read_until(std::string_view end) {
  const std::string until(end);
  return Operation::run(core_, Operation::read_until(core_, until));
}

Async<std::string> TcpConnection::read(std::size_t bytes) {
  return Operation::run(core_, Operation::read(core_, bytes));
}

bool TcpConnection::is_broken() const {
  Core& core = *core_;
  if (core.has_failed) return true;
  const bool takes_unasked = core.unasked == TcpOptions::Unasked::is_kept;
  if (!core.unread.empty() && !takes_unasked) return true;
  return !core.looks_intact(static_cast<short>(takes_unasked ? POLLRDHUP : POLLIN | POLLRDHUP));
}

Async<TcpConnection> connect_tcp(TcpOptions options) {
  const std::string place = place_of(options);
  SEMPER_CO_TRY(auto addresses, co_await addresses_of(options));
  if (addresses.empty()) co_return fail(ErrorKind::io, place + ": its name has no address");
  auto socket = co_await internal::connect_to_first(std::move(addresses), place + ": connecting");
  if (!socket) co_return fail(socket.error());
  set_options(socket->native_handle(), options);
  TcpConnection made(std::move(*socket), options);
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
