#include "threads.h"

#include "stock.h"

namespace guide {

semper::Status serve_until_told(const std::string& url) {
  semper::sync::Termination end;  // first: from here on SIGTERM is kept
  SEMPER_TRY(auto shop, semper::sync::open_store(url));
  semper::sync::Host host(shop);
  host.serve<Stock>();
  SEMPER_TRY_STATUS(host.start());
  SEMPER_TRY_STATUS(end.wait());
  SEMPER_TRY_STATUS(host.stop());
  return shop.close();
}

semper::Result<std::int64_t> sell_on_a_thread(const semper::sync::Store& shop,
                                              const std::string& article) {
  auto stock = semper::sync::ref<Stock>(shop, article);
  SEMPER_TRY_STATUS(stock.cast<Stock::Deliver>(10));
  SEMPER_TRY(const auto left, stock.call<Stock::Reserve>(3));
  return left;
}

}  // namespace guide
