// open_memory: the `memory:` backend, a transactional store in this process that is gone with it.
//
// What for: parts below the front door that need a store, a test kit for example. When not:
// programs; open_store (semper/open_store.h) opens this one too, by its URL:
//
//   memory:          a store of its own
//   memory:NAME      one store for all who name it so in this process, while any of them is open
//
// Parameters, each a number, replace a limit of this handle (for tests of layers that adapt to
// limits): key_bytes, value_bytes, transaction_bytes, transaction_operations, transaction_ms.
//
// Every call completes at once, without leaving the calling thread; the clock of the Env is asked
// for the age of snapshots only. Errors of opening: invalid_argument (a parameter). Threads: any.
#pragma once

#include <memory>

#include "semper/store/backend.h"

namespace semper {

Async<std::shared_ptr<Backend>> open_memory(StoreUrl url, Env env);

}  // namespace semper
