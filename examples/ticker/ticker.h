// The ticker's table, its server and its client.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "semper/env/scheduler.h"
#include "semper/rpc/publisher.h"
#include "semper/rpc/server.h"
#include "semper/rpc/subscribe.h"

namespace ticker {

using Table = std::map<std::string, std::int64_t>;  // cents by name
using Price = std::pair<std::string, std::int64_t>;
using Publisher = semper::rpc::StatePublisher<Table, Price>;
using Prices = semper::StateStream<Table, Price>;

Publisher make_publisher();
Price next_price(int tick);

// `address` is HOST:PORT; port 0 is a free one.
semper::Result<semper::rpc::Server> start_server(const semper::Executor& executor,
                                                 const Publisher& prices, std::string address);

Prices watch(const semper::Executor& executor, std::string address);

// The client's table, right as of the last event, and whether it may be stale.
class Copy {
 public:
  // Takes an event in; returns the line about it.
  std::string take(const Prices::Event& event);
  const Table& table() const { return table_; }
  bool is_stale() const { return stale_; }

 private:
  Table table_;
  bool stale_ = true;
};

}  // namespace ticker
