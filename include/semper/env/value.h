// value, awaited: the result of an Async, or an exception that carries its Error.
//
// What for and when not: semper/base/value.h.
//
//   semper::Task<int> application() {
//     auto store = co_await semper::value(semper::open_store("sqlite:./data.db"));
//     auto hits = semper::ref<Counter>(store, "page/home");
//     std::int64_t n = co_await semper::value(hits.call<Counter::Add>(1));
//     co_return 0;
//   }
//   int main() {
//     try {
//       return semper::run(application());
//     } catch (const semper::ErrorException& failed) { ... }
//   }
//
// Threads: as any coroutine.
#pragma once

#include <utility>

#include "semper/base/value.h"
#include "semper/env/asio.h"

namespace semper {

// Throws ErrorException, and whatever the operation throws.
template <class T>
Task<T> value(Async<T> operation) {
  co_return value(co_await std::move(operation));
}

}  // namespace semper
