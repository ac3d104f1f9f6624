// The contract of a store's backend, run on sqlite: with threads, and with other processes.
#include "backends/sqlite/sqlite.h"
#include "semper/testing/store_conformance.h"

namespace semper {
namespace {

Async<std::shared_ptr<Backend>> open(std::string url, Env env) {
  SEMPER_CO_TRY(auto parsed, StoreUrl::parse(url));
  co_return co_await open_sqlite(std::move(parsed), env);
}

const std::size_t cases = testing::register_store_conformance({
    .name = "sqlite",
    .url =
        [](const testing::ConformancePlace& place) {
          return "sqlite:" + place.folder + "/store.db";
        },
    .open = open,
    .processes = testing::Processes::several,
    .lifetime = testing::Lifetime::persistent,
    .links = testing::Links::some,
});

}  // namespace
}  // namespace semper
