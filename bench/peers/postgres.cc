// PostgreSQL as a system of bench_peers: a table as the queue, and a table of the entities' counts.
//
// fsync and synchronous_commit are on. A publisher has a connection for each message in flight, for
// only so does one flush serve many commits, and each insert is a transaction. A consumer deletes a
// batch, skipping what others have locked, and adds up its entities in the same transaction, over
// two connections in turn.
#include <libpq-fe.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "server.h"
#include "support/load.h"
#include "system.h"
#include "systems.h"

namespace semper::bench::peers {
namespace {

// Connections of one publisher: each is a process of the server.
constexpr int kConnectionsMaximum = 256;

constexpr const char* kTables = R"(
create table queue (id bigserial primary key, entity text not null, payload text not null);
create table state (entity text primary key, messages bigint not null))";

// In the order of entities, so that two consumers do not wait for each other in a circle.
constexpr const char* kTake = R"(
with taken as (
  delete from queue where id in (
    select id from queue order by id for update skip locked limit 128)
  returning entity, payload
), counted as (
  insert into state as s
  select entity, count(*) from taken group by entity order by entity
  on conflict (entity) do update set messages = s.messages + excluded.messages
)
select entity, payload from taken)";
static_assert(kBatch == 128);

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Connection = std::unique_ptr<PGconn, Finish>;
struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Answer = std::unique_ptr<PGresult, Clear>;

// Null: it does not answer.
Connection connect(const std::string& address) {
  Connection connection(PQconnectdb(address.c_str()));
  return PQstatus(connection.get()) == CONNECTION_OK ? std::move(connection) : nullptr;
}

Connection connect_or_give_up(const std::string& address) {
  Connection connection = connect(address);
  if (!connection) give_up("PostgreSQL does not answer: " + address);
  return connection;
}

Answer good(const Connection& connection, PGresult* result) {
  Answer answer(result);
  const auto status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    give_up(std::string("PostgreSQL: ") + PQerrorMessage(connection.get()));
  }
  return answer;
}

void run(const Connection& connection, const std::string& text) {
  good(connection, PQexec(connection.get(), text.c_str()));
}

void make_cluster(const std::string& data, const std::string& user) {
  semper::testing::ProgramToStart program;
  program.path = find_program({"/usr/lib/postgresql/*/bin/initdb"}, "postgresql");
  program.arguments = {"-D", data, "-U", "semper", "-A", "trust", "--no-locale", "-E", "UTF8"};
  program.as_user = user;
  semper::testing::ChildProcess initdb(program);
  if (initdb.wait() != 0) throw Unavailable("initdb failed: " + initdb.errors());
}

semper::testing::ProgramToStart server_of(const std::string& data, const std::string& sockets,
                                          const std::string& user) {
  semper::testing::ProgramToStart program;
  program.path = find_program({"/usr/lib/postgresql/*/bin/postgres"}, "postgresql");
  program.arguments = {"-D", data,
                       "-k", sockets,
                       "-c", "listen_addresses=",
                       "-c", "max_connections=400",
                       "-c", "fsync=on",
                       "-c", "synchronous_commit=on"};
  program.as_user = user;
  return program;
}

class Postgres final : public System {
 public:
  explicit Postgres(const std::string& folder) {
    const std::string user = user_unless_mine("postgres", "postgresql");
    give_away(folder, user);
    give_away(sockets_.path(), user);
    make_cluster(folder + "/data", user);
    server_ = std::make_unique<Server>("postgres", folder,
                                       server_of(folder + "/data", sockets_.path(), user));
    server_->stop_signal = 2;  // SIGINT: "fast shutdown", does not wait for clients
    server_->wait_until([&] { return connect(address()) != nullptr; });
    run(connect_or_give_up(address()), kTables);
  }

  void prepare(std::size_t entities) override {
    const Connection connection = connect_or_give_up(address());
    run(connection, "truncate queue, state restart identity");
    run(connection,
        "insert into state select 'meter-' || lpad(n::text, 8, '0'), 0 from generate_series(0, " +
            std::to_string(entities - 1) + ") n");
    run(connection, "vacuum analyze queue, state");
    run(connection, "checkpoint");
  }
  std::string address() const override {
    return "host=" + sockets_.path() + " user=semper dbname=postgres";
  }
  void write_all() override { run(connect_or_give_up(address()), "checkpoint"); }
  void freeze() override { server_->freeze(); }
  void thaw() override { server_->thaw(); }

 private:
  const SocketFolder sockets_;
  std::unique_ptr<Server> server_;
};

std::unique_ptr<System> start(const std::string& folder) {
  return std::make_unique<Postgres>(folder);
}

class PostgresPublisher final : public Publisher {
 public:
  PostgresPublisher(const std::string& address, int in_flight) : waiting_(epoll_create1(0)) {
    lanes_.resize(static_cast<std::size_t>(in_flight));
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      lanes_[i].connection = connect_or_give_up(address);
      PGconn* const to = lanes_[i].connection.get();
      good(lanes_[i].connection,
           PQprepare(to, "put", "insert into queue (entity, payload) values ($1, $2)", 2, nullptr));
      PQsetnonblocking(to, 1);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      epoll_ctl(waiting_, EPOLL_CTL_ADD, PQsocket(to), &event);
      free_.push_back(i);
    }
  }
  ~PostgresPublisher() override { close(waiting_); }

  void send(std::int64_t since_ns, const std::string& entity, const std::string& payload) override {
    auto& lane = lanes_[free_.back()];
    free_.pop_back();
    lane.since_ns = since_ns;
    const char* values[] = {entity.c_str(), payload.c_str()};
    PGconn* const to = lane.connection.get();
    if (PQsendQueryPrepared(to, "put", 2, values, nullptr, nullptr, 0) != 1 || PQflush(to) != 0) {
      give_up(std::string("PostgreSQL: ") + PQerrorMessage(to));
    }
  }

  void settle(std::chrono::nanoseconds patience, const Settled& settled) override {
    std::array<epoll_event, 64> events{};
    const timespec limit{static_cast<time_t>(patience.count() / 1'000'000'000),
                         static_cast<long>(patience.count() % 1'000'000'000)};
    const int count =
        epoll_pwait2(waiting_, events.data(), static_cast<int>(events.size()), &limit, nullptr);
    for (int i = 0; i < count; ++i) {
      auto& lane = lanes_[events[static_cast<std::size_t>(i)].data.u64];
      PGconn* const from = lane.connection.get();
      if (PQconsumeInput(from) != 1) give_up(std::string("PostgreSQL: ") + PQerrorMessage(from));
      while (PQisBusy(from) == 0) {
        PGresult* const result = PQgetResult(from);
        if (result == nullptr) {
          settled(lane.since_ns);
          free_.push_back(events[static_cast<std::size_t>(i)].data.u64);
          break;
        }
        good(lane.connection, result);
      }
    }
  }

 private:
  struct Lane {
    Connection connection;
    std::int64_t since_ns = 0;
  };
  const int waiting_;
  std::vector<Lane> lanes_;
  std::vector<std::size_t> free_;
};

// Two connections: while one's transaction is being flushed, the other's works.
class PostgresConsumer final : public Consumer {
 public:
  explicit PostgresConsumer(const std::string& address) {
    for (auto& connection : connections_) {
      connection = connect_or_give_up(address);
      good(connection, PQprepare(connection.get(), "take", kTake, 0, nullptr));
      ask(connection);
    }
  }

  int take(const Settled& settled) override {
    const auto& connection = connections_[turn_];
    turn_ = 1 - turn_;
    int count = 0;
    while (PGresult* const result = PQgetResult(connection.get())) {
      const Answer answer = good(connection, result);
      count += PQntuples(result);
      for (int i = 0; i < PQntuples(result); ++i) settled(since_ns_of(PQgetvalue(result, i, 1)));
    }
    ask(connection);
    return count;
  }

 private:
  static void ask(const Connection& connection) {
    if (PQsendQueryPrepared(connection.get(), "take", 0, nullptr, nullptr, nullptr, 0) != 1) {
      give_up(std::string("PostgreSQL: ") + PQerrorMessage(connection.get()));
    }
  }
  std::array<Connection, 2> connections_;
  std::size_t turn_ = 0;
};

void publish(const Job& job) {
  PostgresPublisher publisher(job.address, job.shape.in_flight);
  publish_all(publisher, job);
}

void consume(const Job& job) {
  PostgresConsumer consumer(job.address);
  consume_all(consumer, job);
}

}  // namespace

Kind postgres_kind() {
  return {"postgres",
          "PostgreSQL",
          "fsync and synchronous_commit on; a connection for each message in flight",
          "",
          true,
          kConnectionsMaximum,
          start,
          publish,
          consume};
}

}  // namespace semper::bench::peers
