// A durable TCP connection against servers of this process, on loopback.
#include "semper/durable/tcp.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asio/use_future.hpp>
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "env/sanitizer_test_support.h"
#include "env/shortage_test_support.h"
#include "semper/env/scheduler.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using asio::ip::tcp;
using testing::NoMoreDescriptors;

// A failure of a test and not a time that anything takes.
constexpr auto kTcpPatience = 60s;

// Gives lines back; "quiet" is not answered, "bye" is, and the connection then closed.
class EchoServer {
 public:
  explicit EchoServer(std::uint16_t port = 0) { listen(port); }
  ~EchoServer() { stop(); }
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  std::uint16_t port() const { return port_; }
  int accepted() const { return accepted_; }
  // Everything is gone, as in a server that was killed.
  void stop() { scheduler_.reset(); }
  void start() { listen(port_); }

 private:
  void listen(std::uint16_t port) {
    scheduler_ = std::make_unique<Scheduler>();
    tcp::acceptor acceptor(scheduler_->executor(), {asio::ip::address_v4::loopback(), port}, true);
    port_ = acceptor.local_endpoint().port();
    asio::co_spawn(scheduler_->executor(), accept(std::move(acceptor)), asio::detached);
  }
  Task<void> accept(tcp::acceptor acceptor) {
    while (true) {
      auto socket = co_await acceptor.async_accept(asio::use_awaitable);
      ++accepted_;
      asio::co_spawn(acceptor.get_executor(), serve(std::move(socket)), asio::detached);
    }
  }
  static Task<void> serve(tcp::socket socket) {
    std::string bytes;
    while (true) {
      std::error_code code;
      const auto length =
          co_await asio::async_read_until(socket, asio::dynamic_buffer(bytes), '\n',
                                          asio::redirect_error(asio::use_awaitable, code));
      if (code) co_return;
      const std::string line = bytes.substr(0, length);
      bytes.erase(0, length);
      if (line == "quiet\n") continue;
      co_await asio::async_write(socket, asio::buffer(line),
                                 asio::redirect_error(asio::use_awaitable, code));
      if (code || line == "bye\n") co_return;
    }
  }

  std::unique_ptr<Scheduler> scheduler_;
  std::uint16_t port_ = 0;
  std::atomic<int> accepted_{0};
};

using Tcp = Durable<TcpConnection>;

Tcp durable_to(const EchoServer& server, const Executor& executor) {
  DurableOptions<TcpConnection> options;
  options.executor = executor;
  options.with = WithOptions{.deadline = kTcpPatience, .when_down = WhenDown::wait};
  const TcpOptions tcp{.host = "127.0.0.1", .port = server.port()};
  return durable_tcp(tcp, options);
}

Async<std::string> ask(Tcp durable, std::string words, WithOptions how) {
  const std::string line = words + "\n";
  auto f = [&line](TcpConnection& server) -> Async<std::string> {
    SEMPER_CO_TRY_STATUS(co_await server.write(line));
    co_return co_await server.read_until("\n");
  };
  co_return co_await durable.with(how, f);
}

const WithOptions kWaitsWithDeadline{.deadline = kTcpPatience, .when_down = WhenDown::wait};

TEST(Tcp, answers_are_right_and_a_server_that_comes_back_is_found) {
  EchoServer server;
  Scheduler scheduler;
  auto durable = durable_to(server, scheduler.executor());
  EXPECT_EQ(scheduler.block_on(ask(durable, "one", kWaitsWithDeadline)), "one");
  EXPECT_EQ(scheduler.block_on(ask(durable, "two", kWaitsWithDeadline)), "two");
  EXPECT_EQ(server.accepted(), 1);
  server.stop();
  const WithOptions hasty{.deadline = kTcpPatience, .when_down = WhenDown::fail};
  const auto refused = scheduler.block_on(ask(durable, "three", hasty));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::io) << refused.error().to_string();
  server.start();
  EXPECT_EQ(scheduler.block_on(ask(durable, "four", kWaitsWithDeadline)), "four");
}

// The answer that nobody waits for any more is not the next one's.
TEST(Tcp, after_a_deadline_the_next_caller_gets_its_own_answer) {
  EchoServer server;
  Scheduler scheduler;
  auto durable = durable_to(server, scheduler.executor());
  const WithOptions soon{.deadline = 20ms, .when_down = WhenDown::wait};
  const auto late = scheduler.block_on(ask(durable, "quiet", soon));
  ASSERT_FALSE(late);
  EXPECT_TRUE(late.error().kind() == ErrorKind::outcome_unknown ||
              late.error().kind() == ErrorKind::timeout);
  EXPECT_EQ(scheduler.block_on(ask(durable, "next", kWaitsWithDeadline)), "next");
}

TEST(Tcp, what_came_unasked_or_was_closed_meanwhile_is_not_used) {
  EchoServer server;
  Scheduler scheduler;
  auto durable = durable_to(server, scheduler.executor());
  auto two_answers = [](TcpConnection& connection) -> Async<std::string> {
    SEMPER_CO_TRY_STATUS(co_await connection.write("first\nsecond\n"));
    co_return co_await connection.read_until("\n");
  };
  EXPECT_EQ(scheduler.block_on(durable.with(two_answers)), "first");
  EXPECT_EQ(scheduler.block_on(ask(durable, "third", kWaitsWithDeadline)), "third");
  EXPECT_EQ(server.accepted(), 2);
  auto bye = [](TcpConnection& connection) -> Async<void> {
    SEMPER_CO_TRY_STATUS(co_await connection.write("bye\n"));
    SEMPER_CO_TRY_STATUS(co_await connection.read_until("\n"));
    // Until the end is there to be seen.
    co_await connection.socket().async_wait(asio::socket_base::wait_read, asio::use_awaitable);
    co_return Status();
  };
  EXPECT_TRUE(scheduler.block_on(durable.with(bye)));
  EXPECT_EQ(scheduler.block_on(ask(durable, "fourth", kWaitsWithDeadline)), "fourth");
  EXPECT_EQ(server.accepted(), 3);
}

TEST(Tcp, blocks_and_lines_are_read_long_lines_are_refused_and_login_runs_once) {
  EchoServer server;
  Scheduler scheduler;
  DurableOptions<TcpConnection> options;
  options.executor = scheduler.executor();
  int logins = 0;
  TcpOptions tcp{.host = "localhost", .port = server.port()};
  tcp.max_line = 100;
  tcp.login = [&logins](TcpConnection& connection) -> Async<void> {
    ++logins;
    SEMPER_CO_TRY_STATUS(co_await connection.write("hello\n"));
    SEMPER_CO_TRY(const std::string greeting, co_await connection.read_until("\n"));
    if (greeting != "hello") co_return fail(ErrorKind::permission, greeting);
    co_return Status();
  };
  auto durable = durable_tcp(tcp, options);
  auto blocks = [](TcpConnection& connection) -> Async<std::string> {
    SEMPER_CO_TRY_STATUS(co_await connection.write("abc\ndefgh\n"));
    SEMPER_CO_TRY(std::string first, co_await connection.read(6));
    SEMPER_CO_TRY(const std::string second, co_await connection.read_until("\n"));
    co_return first + "|" + second;
  };
  EXPECT_EQ(scheduler.block_on(durable.with(blocks)), "abc\nde|fgh");
  const auto too_long =
      scheduler.block_on(ask(durable, std::string(1000, 'x'), kWaitsWithDeadline));
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().kind(), ErrorKind::exhausted) << too_long.error().to_string();
  EXPECT_EQ(logins, 1);
}

TEST(Tcp, errors_say_where_and_why) {
  std::uint16_t nobody = 0;
  {
    EchoServer gone;
    nobody = gone.port();
  }
  Scheduler scheduler;
  const TcpOptions refused{.host = "127.0.0.1", .port = nobody};
  const auto connection = scheduler.block_on(connect_tcp(refused));
  ASSERT_FALSE(connection);
  const std::string text = connection.error().to_string();
  EXPECT_EQ(text.find("io: 127.0.0.1:" + std::to_string(nobody) + ": connecting: "), 0u) << text;
  EXPECT_NE(text.find("refused"), std::string::npos) << text;
}

// For the thread sanitizer too.
TEST(Tcp, a_pool_serves_many_callers_while_its_server_is_replaced) {
  EchoServer server;
  Scheduler scheduler({.threads = 2});
  PoolOptions<TcpConnection> options{.connections = 4};
  options.each.executor = scheduler.executor();
  const TcpOptions tcp{.host = "127.0.0.1", .port = server.port()};
  auto pool = tcp_pool(tcp, options);
  constexpr int kCallers = 16;
  std::atomic<int> right{0}, wrong{0};
  std::atomic<bool> over{false};
  auto caller = [&](int who) -> Task<void> {
    for (int i = 0; !over; ++i) {
      const std::string words = std::to_string(who) + "/" + std::to_string(i);
      const std::string line = words + "\n";
      auto f = [&line](TcpConnection& connection) -> Async<std::string> {
        SEMPER_CO_TRY_STATUS(co_await connection.write(line));
        co_return co_await connection.read_until("\n");
      };
      auto answer = co_await pool.with(kWaitsWithDeadline, f);
      if (answer) ++(*answer == words ? right : wrong);
    }
  };
  std::vector<std::future<void>> ended;
  for (int who = 0; who < kCallers; ++who) {
    ended.push_back(asio::co_spawn(scheduler.executor(), caller(who), asio::use_future));
  }
  for (int round = 0; round < 3; ++round) {
    const int before = right;
    while (right < before + 1000) std::this_thread::yield();
    server.stop();
    server.start();
  }
  const int before = right;
  while (right < before + 1000) std::this_thread::yield();
  over = true;
  for (auto& one : ended) one.get();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(pool.statistics().in_use, 0u);
  scheduler.block_on(pool.join());
}

// ---- callers on other loops than the socket's ----

// One connection at a time, whose other end the test plays.
struct OtherSide {
  asio::io_context context;
  tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
  tcp::socket accept() { return acceptor.accept(); }
  TcpOptions options() const {
    return TcpOptions{.host = "127.0.0.1", .port = acceptor.local_endpoint().port()};
  }
};

TEST(Tcp, a_caller_on_another_loop_gets_its_answers_and_long_writes_arrive) {
  EchoServer server;
  Scheduler its_own, callers;
  auto durable = durable_to(server, its_own.executor());
  EXPECT_EQ(callers.block_on(ask(durable, "one", kWaitsWithDeadline)), "one");
  const std::string long_line(100'000, 'x');
  EXPECT_EQ(callers.block_on(ask(durable, long_line, kWaitsWithDeadline)), long_line);
  auto blocks = [](TcpConnection& connection) -> Async<std::string> {
    SEMPER_CO_TRY_STATUS(co_await connection.write("abcdef\n"));
    SEMPER_CO_TRY(std::string first, co_await connection.read(3));
    SEMPER_CO_TRY(const std::string second, co_await connection.read_until("\n"));
    co_return first + "|" + second;
  };
  EXPECT_EQ(callers.block_on(durable.with(blocks)), "abc|def");
  EXPECT_EQ(server.accepted(), 1);
}

TEST(Tcp, a_callers_loop_that_is_destroyed_in_its_f_leaves_the_others_theirs) {
  OtherSide other;
  Scheduler its_own;
  DurableOptions<TcpConnection> options;
  options.executor = its_own.executor();
  options.with = kWaitsWithDeadline;
  auto durable = durable_tcp(other.options(), options);
  auto accepted = std::async(std::launch::async, [&] { return other.accept(); });
  {
    asio::io_context goes(1);
    bool is_reading = false;
    auto f = [&](TcpConnection& connection) -> Async<std::string> {
      SEMPER_CO_TRY_STATUS(co_await connection.write("question\n"));
      is_reading = true;
      co_return co_await connection.read_until("\n");
    };
    auto caller = [](Tcp on, decltype(f)& ask) -> Task<void> {
      static_cast<void>(co_await on.with(ask));
    };
    asio::co_spawn(goes, caller(durable, f), asio::detached);
    while (!is_reading) {
      goes.restart();
      goes.poll();
    }
  }
  auto peer = accepted.get();
  auto next = std::async(std::launch::async, [&] {
    tcp::socket again = other.accept();
    std::string line;
    asio::read_until(again, asio::dynamic_buffer(line), '\n');
    asio::write(again, asio::buffer(line));
  });
  asio::write(peer, asio::buffer("the answer that comes late\n", 27));
  EXPECT_EQ(its_own.block_on(ask(durable, "next", kWaitsWithDeadline)), "next");
  next.get();
}

// Under a sanitizer, or where a loop lies in the place of another: nothing of the first one's is
// touched.
TEST(Tcp, a_connection_goes_with_its_loop_and_the_next_caller_gets_another) {
  EchoServer server;
  const TcpOptions tcp{.host = "127.0.0.1", .port = server.port()};
  auto durable = durable_tcp(tcp);
  constexpr int kLoops = 3;
  for (int loop = 1; loop <= kLoops; ++loop) {
    Scheduler own;
    EXPECT_EQ(own.block_on(ask(durable, "hello", kWaitsWithDeadline)), "hello");
    EXPECT_EQ(own.block_on(ask(durable, "again", kWaitsWithDeadline)), "again");
    EXPECT_EQ(server.accepted(), loop);
  }
  EXPECT_EQ(durable.check(), false);
  durable.close();
}

TEST(Tcp, who_uses_a_connection_whose_loop_went_is_told) {
  OtherSide other;
  auto accepted = std::async(std::launch::async, [&] { return other.accept(); });
  auto goes = std::make_unique<Scheduler>();
  auto connection = goes->block_on(connect_tcp(other.options()));
  ASSERT_TRUE(connection);
  auto peer = accepted.get();
  EXPECT_FALSE(connection->is_broken());
  goes.reset();
  EXPECT_TRUE(connection->is_broken());
  char byte = 0;
  std::error_code code;
  asio::read(peer, asio::buffer(&byte, 1), code);
  EXPECT_EQ(code, asio::error::eof) << "it is closed";
  Scheduler scheduler;
  const auto written = scheduler.block_on(connection->write("x"));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind(), ErrorKind::io);
  EXPECT_NE(written.error().message().find("loop"), std::string::npos);
  EXPECT_FALSE(scheduler.block_on(connection->read(1)));
}

TEST(Tcp, programs_that_are_executed_meanwhile_do_not_inherit_the_socket) {
  EchoServer server;
  Scheduler scheduler;
  const TcpOptions tcp{.host = "127.0.0.1", .port = server.port()};
  auto connection = scheduler.block_on(connect_tcp(tcp));
  ASSERT_TRUE(connection);
  EXPECT_NE(::fcntl(connection->socket().native_handle(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(Tcp, a_name_is_looked_up_and_one_that_is_none_is_an_error) {
  EchoServer server;
  Scheduler scheduler;
  const TcpOptions known{.host = "localhost", .port = server.port()};
  EXPECT_TRUE(scheduler.block_on(connect_tcp(known)));
  const TcpOptions unknown{.host = "no name", .port = server.port()};
  const auto connection = scheduler.block_on(connect_tcp(unknown));
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().kind(), ErrorKind::io);
  EXPECT_NE(connection.error().message().find("no name:"), std::string::npos);
  EXPECT_NE(connection.error().message().find("looking for its address"), std::string::npos);
}

TEST(Tcp, without_a_free_descriptor_connecting_is_exhausted_and_heals) {
  SEMPER_LEAVES_NO_DESCRIPTOR();
  OtherSide other;  // accepts nothing: what it then closed would be free
  Scheduler fresh, used;
  const TcpOptions tcp = other.options();
  ASSERT_TRUE(used.block_on(connect_tcp(tcp)));
  for (auto* const scheduler : {&fresh, &used}) {
    std::optional<NoMoreDescriptors> full(std::in_place);
    const auto connection = scheduler->block_on(connect_tcp(tcp));
    ASSERT_FALSE(connection);
    EXPECT_EQ(connection.error().kind(), ErrorKind::exhausted) << connection.error().to_string();
    full.reset();
    EXPECT_TRUE(scheduler->block_on(connect_tcp(tcp)));
  }
}

TEST(Tcp, a_forked_child_does_not_speak_in_its_parents_connection) {
  SEMPER_FORKS_BESIDE_THREADS();
  EchoServer server;
  Scheduler scheduler;
  auto durable = durable_to(server, scheduler.executor());
  ASSERT_EQ(scheduler.block_on(ask(durable, "parent", kWaitsWithDeadline)), "parent");
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);
    Scheduler own;
    const auto answer = own.block_on(ask(durable, "child", kWaitsWithDeadline));
    ::_exit(!answer && answer.error().kind() == ErrorKind::unsupported ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(scheduler.block_on(ask(durable, "again", kWaitsWithDeadline)), "again");
  EXPECT_EQ(server.accepted(), 1);
}

TEST(Tcp, a_reader_that_is_cancelled_after_a_part_came_breaks_the_connection) {
  OtherSide other;
  Scheduler its_own;
  auto accepted = std::async(std::launch::async, [&] { return other.accept(); });
  auto connection = its_own.block_on(connect_tcp(other.options()));
  ASSERT_TRUE(connection);
  auto peer = accepted.get();
  asio::io_context callers(1);
  asio::cancellation_signal signal;
  auto reads = [](TcpConnection& from) -> Task<void> { static_cast<void>(co_await from.read(10)); };
  asio::co_spawn(callers, reads(*connection),
                 asio::bind_cancellation_slot(signal.slot(), asio::detached));
  callers.poll();
  asio::write(peer, asio::buffer("abc", 3));
  while (connection->socket().available() != 0) std::this_thread::yield();
  signal.emit(asio::cancellation_type::terminal);
  callers.restart();
  callers.run();
  asio::write(peer, asio::buffer("defghijklm", 10));
  EXPECT_TRUE(connection->is_broken());
  const auto after = its_own.block_on(connection->read(10));
  ASSERT_FALSE(after) << *after;
  EXPECT_EQ(after.error().kind(), ErrorKind::io);
}

}  // namespace
}  // namespace semper
