// semper::sync in one include: Semper for programs that use threads instead of coroutines.
//
// What for: tests, tools, and programs that already have threads. When not: thousands of concurrent
// operations, or a program that has an event loop (semper/semper.h).
//
//   int main() {
//     auto store = semper::sync::open_store("sqlite:./data.db");
//     if (!store) return complain(store.error());
//     semper::sync::Host host(*store);
//     host.serve<Counter>();                                  // a behaviour: server/behaviour.h
//     auto hits = semper::sync::ref<Counter>(*store, "page/home");
//     auto n = hits.call<Counter::Add>(1);
//     return n ? 0 : complain(n.error());
//   }
//
// Each call blocks its thread. semper/sync/wait.h says where it may be called, how long it waits,
// and what happens after a fork. Link semper::semper.
#pragma once

#include <string>

#include "semper/open_store.h"
#include "semper/sync/host.h"
#include "semper/sync/journal.h"
#include "semper/sync/names.h"
#include "semper/sync/ref.h"
#include "semper/sync/ring.h"
#include "semper/sync/store.h"

namespace semper::sync {

// As semper::open_store. If there is no answer within `timeout`, the error is `timeout`, and the
// store may have been created.
Result<Store> open_store(std::string url, StoreOptions options = {}, Duration timeout = kForever);

}  // namespace semper::sync
