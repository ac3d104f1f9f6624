// Semper: durable servers in one include.
//
// What for: programs that keep state and messages in durable servers: open_store, Host, Ref,
// inspect, and a Scheduler to run coroutines on. When not: a library that needs only one component
// (the store, or the codec) includes that component's headers and links its target.
//
//   #include "semper/semper.h"
//
//   semper::Task<int> application() {
//     auto store = co_await semper::open_store("sqlite:./data.db");
//     semper::Host host(store);
//     host.serve<Counter>();                                  // a behaviour: server/behaviour.h
//     auto hits = semper::ref<Counter>(store, "page/home");
//     const Counter::Add one{1};                              // named first: see server/ref.h
//     auto n = co_await hits.call(one);
//     co_return n ? 0 : 1;
//   }
//   int main() { return semper::run(application()); }
//
// Link semper::semper. For a smaller include: behaviours need server/behaviour.h only.
#pragma once

#include "semper/env/scheduler.h"
#include "semper/env/termination.h"
#include "semper/env/value.h"
#include "semper/open_store.h"
#include "semper/server/host.h"
#include "semper/server/inspect.h"
#include "semper/server/ref.h"
#include "semper/version.h"
