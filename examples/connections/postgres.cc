// A pool of PostgreSQL connections. Connecting blocks, on a thread for such (run_blocking); queries
// use libpq's asynchronous calls, so that no thread waits for the server, and one that passes its
// deadline is cancelled at once. `connect_timeout` in the conninfo bounds the former.
#include <libpq-fe.h>
#include <semper/durable/descriptor.h>
#include <semper/durable/pool.h>
#include <semper/env/blocking.h>

#include <memory>

#include "connections.h"

using namespace std::chrono_literals;

namespace connections {
namespace {

// begin
using Db = std::shared_ptr<PGconn>;

semper::Pool<Db> make_pool(std::string conninfo) {
  auto connect = [=]() -> semper::Result<Db> {
    Db db(PQconnectdb(conninfo.c_str()), PQfinish);
    if (PQstatus(db.get()) == CONNECTION_OK) return db;
    return semper::fail(semper::ErrorKind::io, PQerrorMessage(db.get()));
  };
  auto is_bad = [](const Db& db) {  // or in a transaction that an f has left open
    return PQconsumeInput(db.get()) == 0 || PQtransactionStatus(db.get()) != PQTRANS_IDLE;
  };
  semper::PoolOptions<Db> options{.each = {.name = "db", .with = {5s, semper::WhenDown::wait}}};
  return semper::Pool<Db>::create([=] { return semper::run_blocking(connect); }, is_bad, options);
}
semper::Async<std::string> ask(semper::Pool<Db> pool, std::string words) {
  auto f = [text = words.c_str()](Db& db) -> semper::Async<std::string> {
    PQsendQueryParams(db.get(), "select $1::text", 1, nullptr, &text, nullptr, nullptr, 0);
    for (; PQisBusy(db.get()) != 0; PQconsumeInput(db.get()))
      SEMPER_CO_TRY_STATUS(co_await semper::wait_readable(PQsocket(db.get())));
    const std::shared_ptr<PGresult> row(PQgetResult(db.get()), PQclear);
    while (PGresult* more = PQgetResult(db.get())) PQclear(more);
    if (PQresultStatus(row.get()) == PGRES_TUPLES_OK) co_return PQgetvalue(row.get(), 0, 0);
    co_return semper::fail(semper::ErrorKind::io, PQerrorMessage(db.get()));
  };
  co_return co_await pool.with(f);
}
// end

}  // namespace

Ask postgres_echo(std::string conninfo) {
  auto pool = make_pool(std::move(conninfo));
  return [pool](std::string words) { return ask(pool, std::move(words)); };
}

}  // namespace connections
