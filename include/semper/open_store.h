// open_store: from a URL to a Store, with every backend of this build known.
//
//   auto store = co_await semper::open_store("sqlite:./data.db");
//
//   memory:             one process, gone with it; for tests (a name after the colon is shared)
//   sqlite:PATH         one file, many processes on one machine; the default choice
//
// Errors: invalid_argument (unknown scheme or parameter; the message lists what there is), and
// those of the backend: io, corrupt, unsupported, permission; each says what to do next. Nothing is
// created or changed on error.
#pragma once

#include <string>

#include "semper/env/env.h"
#include "semper/store/store.h"

namespace semper {

struct StoreOptions {
  // Clock and randomness of the store and of everything on it. Default: the machine's.
  Env env = {};
};

Async<Store> open_store(std::string url, StoreOptions options = {});

// Makes the schemes above known to open_backend(); open_store does it itself.
void register_builtin_backends();

}  // namespace semper
