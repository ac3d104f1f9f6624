#include "semper/open_store.h"

#include <mutex>
#include <utility>

#ifdef SEMPER_HAS_FOUNDATIONDB
#include "backends/foundationdb/foundationdb.h"
#endif
#ifdef SEMPER_HAS_MEMORY
#include "backends/memory/memory.h"
#endif
#ifdef SEMPER_HAS_SQLITE
#include "backends/sqlite/sqlite.h"
#endif

namespace semper {

void register_builtin_backends() {
  static std::once_flag once;
  std::call_once(once, [] {
#ifdef SEMPER_HAS_FOUNDATIONDB
    register_backend("fdb", open_foundationdb);
#endif
#ifdef SEMPER_HAS_MEMORY
    register_backend("memory", open_memory);
#endif
#ifdef SEMPER_HAS_SQLITE
    register_backend("sqlite", open_sqlite);
#endif
  });
}

Async<Store> open_store(std::string url, StoreOptions options) {
  register_builtin_backends();
  SEMPER_CO_TRY(auto backend, co_await open_backend(std::move(url), options.env));
  co_return Store(std::move(backend), options.env);
}

}  // namespace semper
