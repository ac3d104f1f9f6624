// semper-guide_servers: the lessons of the guide to durable servers, one after the other.
//
//   semper-guide_servers                            in memory, gone with the process
//   semper-guide_servers sqlite:./shop.db           in a file; look into it with `semper ls Stock`
#include <iostream>
#include <memory>
#include <string>

#include "lessons.h"
#include "semper/env/standard_streams.h"

namespace {

class PretendedProvider : public guide::PaymentProvider {
  semper::Result<std::string> charge(const std::string& order, std::int64_t,
                                     std::uint64_t) override {
    return "receipt of " + order;
  }
};

semper::Task<semper::Status> tour(semper::Store shop) {
  SEMPER_CO_TRY(const auto left, co_await guide::sell(shop, "chair"));
  std::cout << "chairs left: " << left << '\n';

  SEMPER_CO_TRY_STATUS(co_await guide::unload(shop, "table"));
  SEMPER_CO_TRY(const auto tables, co_await guide::look(shop, "table"));
  std::cout << "tables: " << tables << '\n';

  auto order = semper::ref<guide::Order>(shop, "1001");
  const guide::Order::Place place{"chair", 3};
  SEMPER_CO_TRY_STATUS(co_await order.cast(place));
  SEMPER_CO_TRY(const auto receipt, co_await guide::pay(shop, "1001"));
  std::cout << "paid: " << receipt << '\n';
  SEMPER_CO_TRY(const auto back, co_await guide::cancel(shop, "1001"));
  std::cout << "returned: " << back << '\n';

  SEMPER_CO_TRY(const auto reason, co_await guide::deliver_nothing(shop, "lamp"));
  std::cout << "set aside: " << reason << '\n';

  std::vector<guide::Delivery> lines;
  lines.push_back({1, "sofa", 5});
  lines.push_back({2, "sofa", 7});
  SEMPER_CO_TRY_STATUS(co_await guide::import_deliveries(shop, lines));
  SEMPER_CO_TRY_STATUS(co_await guide::import_deliveries(shop, lines));  // once more: no effect
  auto sofa = semper::ref<guide::Stock>(shop, "sofa");
  const guide::Stock::Count count;
  SEMPER_CO_TRY(const auto sofas, co_await sofa.call(count));
  std::cout << "sofas: " << sofas << '\n';

  for (const char* article : {"chair", "table", "lamp", "sofa"}) {
    SEMPER_CO_TRY_STATUS(co_await guide::discontinue(shop, article));
  }
  co_return semper::Status{};
}

int explain(const semper::Error& error) {
  std::cerr << "semper-guide_servers: " << error.message() << '\n';
  return 1;
}

semper::Task<int> program(std::string url) {
  auto store = co_await semper::open_store(url);
  if (!store) co_return explain(store.error());

  semper::Host host(*store);
  host.serve<guide::Stock>();
  const auto provider = std::make_shared<PretendedProvider>();
  const auto notify = [](const std::string& article) {
    std::cout << "cancelled an order of " << article << '\n';
  };
  host.serve(std::make_shared<guide::Order>(provider, notify));
  if (auto started = co_await host.start(); !started) co_return explain(started.error());

  const auto done = co_await tour(*store);
  const auto stopped = co_await host.stop();
  const auto closed = co_await store->close();
  if (!done) co_return explain(done.error());
  if (!stopped) co_return explain(stopped.error());
  co_return closed ? 0 : explain(closed.error());
}

}  // namespace

int main(int argc, char** argv) {
  semper::guard_standard_streams();
  if (argc > 2 || (argc > 1 && argv[1][0] == '-')) {
    std::cerr << "usage: semper-guide_servers [STORE_URL]     (default: memory:)\n";
    return 2;
  }
  return semper::run(program(argc > 1 ? argv[1] : "memory:"));
}
