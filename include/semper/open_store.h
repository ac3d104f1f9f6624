// open_store: opens the Store that a URL names, with any backend of this build.
//
// What for: programs whose store is chosen by a URL. When not: for your own backend, use
// register_backend and open_backend in store/backend.h.
//
//   auto store = co_await semper::open_store("sqlite:./data.db");
//
//   memory:             one process, gone with it; for tests (a name after the colon is shared)
//   sqlite:PATH         one file, many processes on one machine; the default choice
//   etcd:HOST:PORT,...  an etcd cluster, many machines; for little data
//   fdb:CLUSTER_FILE    a FoundationDB cluster, many machines; loads its client library when opened
//
// Errors: invalid_argument (unknown scheme or parameter; the message lists the known ones), and
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

// Registers the schemes above with open_backend(); open_store does this itself.
void register_builtin_backends();

}  // namespace semper
