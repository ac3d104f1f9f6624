// The examples of include/semper/rpc, and of streams, as they stand in the headers.
// clang-format off
#include <chrono>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "semper/durable/stream.h"
#include "semper/durable/stream_options.h"
#include "semper/env/scheduler.h"
#include "semper/rpc/call.h"
#include "semper/rpc/channel.h"
#include "semper/rpc/duplex.h"
#include "semper/rpc/publisher.h"
#include "semper/rpc/publisher_options.h"
#include "semper/rpc/server.h"
#include "semper/rpc/status.h"
#include "semper/rpc/subscribe.h"

using namespace std::chrono_literals;
using namespace semper;

struct Row { std::string name; std::int64_t cents = 0; };
using Table = std::map<std::string, Row>;
struct Request { std::string SerializeAsString() const; };

Task<void> called(rpc::Channel channel, Request request) {
  auto bytes = co_await rpc::call(channel, "/prices.Prices/Get", request.SerializeAsString(),
                                  {.deadline = 2s});
}

Task<void> channels(Bytes request) {
  auto channel = rpc::durable_channel({.address = "prices.example:443",
                                       .credentials = rpc::Credentials::tls()});
  auto answer = co_await channel.with(
      [&](rpc::Channel& c) { return rpc::call(c, "/prices.Prices/Get", request); });
}

void probed(DurableOptions<rpc::Channel> options) {
  options.probe = [](rpc::Channel& c) { return rpc::check_health(c, "", 2s); };
}

Async<void> duplex(rpc::Channel channel, rpc::CallOptions options, Request request) {
  auto duplex = rpc::open_duplex(channel, "/etcdserverpb.Watch/Watch", options);
  SEMPER_CO_TRY_STATUS(duplex.send(request.SerializeAsString()));
  while (true) {
    SEMPER_CO_TRY(auto message, co_await duplex.next());
    if (!message) break;                                 // the server ended in good order
  }
  co_return Status{};
}

void published(rpc::Methods& methods, Row row) {
  rpc::StatePublisher<Table, Row> prices(Table{}, [](Table& t, const Row& r) { t[r.name] = r; });
  methods.streaming("/prices.Prices/Watch", prices.handler());
  prices.publish({row});                            // applied here, then sent to all
}

void publisher_options() {
  semper::rpc::PublisherOptions options;
  options.history_batches = 100;
}

Async<Bytes> get(Bytes request);
Status served(Scheduler& scheduler, rpc::StatePublisher<Table, Row>& publisher) {
  rpc::Methods methods;
  methods.unary("/prices.Prices/Get",
                [&](rpc::CallInfo, Bytes request) { return get(request); });
  methods.streaming("/prices.Prices/Watch", publisher.handler());      // publisher.h
  SEMPER_TRY(auto server, rpc::Server::start(methods, {.executor = scheduler.executor()}));
  const std::uint16_t port = server.port();
  server.shutdown(2s);
  return {};
}

void status() {
  Error error = rpc::error_from_status(rpc::StatusCode::not_found, "no table of that name");
}

void subscribed(Executor executor, Durable<rpc::Channel> channel, Bytes request) {
  using Prices = semper::StateStream<Table, Row>;
  auto prices = Prices::create(executor, channel,                      // a Durable<rpc::Channel>
                               rpc::subscribe<Prices>("/prices.Prices/Watch", request));
}

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};
template <class... F>
overloaded(F...) -> overloaded<F...>;
void add_to(Table& table, const std::vector<Row>& rows);
void mark_as_stale(const Error& reason);
Task<void> followed(Executor executor, Durable<rpc::Channel> channel, Table& table) {
  const auto subscribe =
      rpc::subscribe<semper::StateStream<Table, Row>>("/prices.Prices/Watch", Bytes());
  using Prices = semper::StateStream<Table, Row>;
  auto prices = Prices::create(executor, channel, subscribe, {.name = "prices"});
  while (auto event = co_await prices.next()) {
    std::visit(overloaded{
        [&](semper::stream::State<Table>& now) { table = std::move(now.state); },
        [&](semper::stream::UpdateBatch<Row>& rows) { add_to(table, rows.updates); },
        [&](semper::stream::LostConnection& lost) { mark_as_stale(lost.reason); },
        [&](auto&) {}}, *event);
  }                                              // an error: closed, or see below
}

void stream_options() {
  semper::StreamOptions options;
  options.name = "prices";
  options.when_full = semper::WhenFull::fresh_state;
}
