// The examples of include/semper/durable, as they stand in its headers.
// clang-format off
#include <chrono>
#include <map>
#include <string>
#include <system_error>
#include <variant>

#include "semper/durable/bus.h"
#include "semper/durable/descriptor.h"
#include "semper/durable/durable.h"
#include "semper/durable/pool.h"
#include "semper/durable/retry.h"
#include "semper/durable/stream.h"
#include "semper/durable/system_errors.h"
#include "semper/durable/tcp.h"
#include "semper/durable/versioned.h"

using namespace std::chrono_literals;

struct Rows {};
struct Session {
  bool has_failed() const;
  semper::Async<Rows> query(const std::string& text);
};
semper::Async<Session> connect(std::string address);
semper::Async<Session> connect_here();

namespace durables {
using namespace semper;
semper::Task<void> example(std::string address, std::string text) {
  semper::DurableOptions<Session> options;
  options.access = semper::Access::exclusive;                          // one f at a time
  auto session = semper::Durable<Session>::create(
      [&]() -> semper::Async<Session> { return connect(address); },    // to_create
      [](const Session& s) { return s.has_failed(); },                 // is_broken
      options);
  auto rows = co_await session.with([&](Session& s) { return s.query(text); });
}
semper::Task<void> arguments(semper::Durable<Session> session, std::string text) {
  auto query = [](Session& s, const std::string& text) { return s.query(text); };
  auto rows = co_await session.with(query, text);
}
void invalidated(semper::Durable<Session>& session, std::string text) {
  auto f = [&](Session& s) -> Async<Rows> {
    auto rows = co_await s.query(text);
    if (!rows) session.invalidate(s);
    co_return rows;
  };
}
void options() {
  semper::DurableOptions<Session> options;
  options.name = "billing";
  options.access = semper::Access::exclusive;
  options.with = semper::WithOptions{.deadline = 5s, .when_down = semper::WhenDown::wait};
}
void retried(semper::DurableOptions<Session>& options) {
  options.retry = semper::RetryOptions{.initial = 100ms, .maximum = 30s};
}
semper::Task<void> pooled(std::string text) {
  auto connect = [] { return connect_here(); };
  auto is_broken = [](const Session& s) { return s.has_failed(); };
  semper::PoolOptions<Session> options{.connections = 8};
  options.each.name = "billing";
  auto pool = semper::Pool<Session>::create(connect, is_broken, options);
  auto rows = co_await pool.with([&](Session& s) { return s.query(text); });
}
}  // namespace durables

void lamp(bool on);
void bus() {
  semper::Bus<bool> open;
  auto heard = open.subscribe([](bool now) { lamp(now); });   // at once if there is a value
  open.publish(true);                                         // calls every subscriber
  heard.unsubscribe();                                        // or destroy it
}

struct PGconn;
int PQisBusy(PGconn*);
int PQsocket(PGconn*);
int PQconsumeInput(PGconn*);
decltype(semper::fail(semper::ErrorKind::io, "")) failed(PGconn*);
semper::Async<void> busy(PGconn* connection) {
  while (PQisBusy(connection) != 0) {
    SEMPER_CO_TRY_STATUS(co_await semper::wait_readable(PQsocket(connection)));
    if (PQconsumeInput(connection) == 0) co_return failed(connection);
  }
  co_return semper::Status{};
}

void ask(const std::string& address);
semper::Status system_errors(std::string address) {
  try {
    ask(address);
    return {};
  }
  catch (const std::system_error& thrown) {
    return semper::fail(semper::error_from_system(thrown.code(), "asking " + address));
  }
}

semper::Task<void> tcp(std::string line) {
  auto echo = semper::durable_tcp({.host = "127.0.0.1", .port = 7});
  auto ask = [&](semper::TcpConnection& c) -> semper::Async<std::string> {
    SEMPER_CO_TRY_STATUS(co_await c.write(line));
    co_return co_await c.read_until("\n");
  };
  auto answer = co_await echo.with(ask);
}
