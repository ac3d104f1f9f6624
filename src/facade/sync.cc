#include "semper/sync.h"

#include <utility>

namespace semper::sync {

Result<Store> open_store(std::string url, StoreOptions options, Duration timeout) {
  SEMPER_TRY(auto store,
             wait(semper::open_store(std::move(url), options), timeout, Late::had_no_effect));
  return Store(std::move(store));
}

}  // namespace semper::sync
