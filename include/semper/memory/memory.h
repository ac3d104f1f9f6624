// open_memory: the `memory:` backend, a transactional store that exists only in this process.
//
// What for: components below open_store that need a store, such as a test kit. When not: programs;
// open_store (semper/open_store.h) also opens this one, by its URL:
//
//   memory:          a separate store
//   memory:NAME      one store for all who name it so in this process, while any of them is open
//
// Parameters, each a number, replace a limit of this handle (for tests of layers that adapt to
// limits): key_bytes, value_bytes, transaction_bytes, transaction_operations, transaction_ms.
//
// Every call completes at once, on the calling thread; the clock of the Env is used only for the
// age of snapshots. Errors of opening: invalid_argument (a parameter). Threads: any.
#pragma once

#include <memory>

#include "semper/store/backend.h"

namespace semper {

Async<std::shared_ptr<Backend>> open_memory(StoreUrl url, Env env);

}  // namespace semper
