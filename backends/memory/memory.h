// The `memory:` backend: a transactional store in this process, gone with it.
//
//   memory:          a store of its own
//   memory:NAME      one store for all who name it so in this process, while any of them is open
//
// Parameters, each a number, replace a limit of this handle (for tests of layers that adapt to
// limits): key_bytes, value_bytes, transaction_bytes, transaction_operations, transaction_ms.
//
// Every call completes at once, without leaving the calling thread; the clock of the Env is asked
// for the age of snapshots only. Errors of opening: invalid_argument (a parameter).
#pragma once

#include <memory>

#include "semper/store/backend.h"

namespace semper {

Async<std::shared_ptr<Backend>> open_memory(StoreUrl url, Env env);

}  // namespace semper
