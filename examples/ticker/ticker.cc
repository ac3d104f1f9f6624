#include "ticker.h"

#include <chrono>
#include <variant>

namespace ticker {
namespace {

constexpr char kWatch[] = "/ticker.Ticker/Watch";

std::string shown(const Price& price) {
  const auto cents = std::to_string(price.second % 100);
  return price.first + " " + std::to_string(price.second / 100) + "." +
         (cents.size() < 2 ? "0" : "") + cents;
}

struct Line {
  Table& table;
  bool& stale;

  std::string operator()(const semper::stream::AttemptingNewConnection&) const {
    return "connecting";
  }
  std::string operator()(const semper::stream::FailedToConnect& failed) const {
    return "no connection: " + failed.error.message();
  }
  std::string operator()(const semper::stream::RpcError& failed) const {
    return "refused: " + failed.error.message();
  }
  template <class M>
  std::string operator()(const semper::stream::ConnectionSuccess<M>&) const {
    return "connected";
  }
  template <class M>
  std::string operator()(const semper::stream::ConnectionResumed<M>&) const {
    stale = false;
    return "connected again, nothing was missed";
  }
  std::string operator()(const semper::stream::LostConnection& lost) const {
    stale = true;
    return "lost the connection: " + lost.reason.message();
  }
  std::string operator()(const semper::stream::Gap&) const {
    return "changes were missed, the whole table comes anew";
  }
  std::string operator()(const semper::stream::State<Table>& state) const {
    table = state.state;
    stale = false;
    std::string line = "table:";
    for (const auto& price : table) line += " " + shown(price);
    return line;
  }
  std::string operator()(const semper::stream::UpdateBatch<Price>& batch) const {
    std::string line = "change:";
    for (const auto& price : batch.updates) {
      table[price.first] = price.second;
      line += " " + shown(price);
    }
    return line;
  }
};

}  // namespace

Publisher make_publisher() {
  return Publisher(Table{{"ACME", 10'000}, {"INIT", 2'550}},
                   [](Table& table, const Price& price) { table[price.first] = price.second; });
}

Price next_price(int tick) {
  return tick % 2 == 0 ? Price("ACME", 10'000 + 25 * (tick % 7)) : Price("INIT", 2'550 + tick % 11);
}

semper::Result<semper::rpc::Server> start_server(const semper::Executor& executor,
                                                 const Publisher& prices, std::string address) {
  semper::rpc::Methods methods;
  methods.streaming(kWatch, prices.handler());
  semper::rpc::ServerOptions options;
  options.executor = executor;
  options.address = std::move(address);
  return semper::rpc::Server::start(methods, std::move(options));
}

Prices watch(const semper::Executor& executor, std::string address) {
  semper::rpc::ChannelOptions to;
  to.address = std::move(address);
  // A server that is stopped, or cut off, closes nothing: without pings the copy would look fresh.
  to.keepalive = std::chrono::seconds(5);
  to.keepalive_timeout = std::chrono::seconds(5);
  to.ping_when = semper::rpc::ChannelOptions::PingWhen::always;
  semper::StreamOptions options;
  options.name = "prices";
  options.resubscribe_delay = std::chrono::milliseconds(500);
  return Prices::create(executor, semper::rpc::durable_channel(std::move(to)),
                        semper::rpc::subscribe<Prices>(kWatch), std::move(options));
}

std::string Copy::take(const Prices::Event& event) {
  return std::visit(Line{table_, stale_}, event);
}

}  // namespace ticker
