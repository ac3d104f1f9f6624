// run_blocking: runs a blocking function on a thread for such work, while its coroutine waits.
//
// What for: libraries without asynchronous calls (libpq, hiredis, getaddrinfo): as the builder of a
// Durable, or in the f of its with(). When not: operations that are already asynchronous; long
// computations (give them their own Scheduler).
//
//   auto create = [address] {
//     return semper::run_blocking([address] { return open_session(address); });
//   };
//
// The function takes nothing and returns a T, a Result<T> or nothing; run_blocking gives Async<T>.
// With g++ 12, name a closure that captures by value before the co_await (docs/testing.md).
//
// Ownership: the function ends before its coroutine continues or is destroyed, so it may use the
// coroutine's variables. That is why a cancellation does not interrupt it: the wait continues until
// the function has returned. Destroying an io_context on which a coroutine waits for such a
// function also waits.
//
// Bounds: kBlockingThreads threads in the process, each of which ends after 10 s without work;
// further calls wait for a thread, at most kBlockingCallsWaiting of them. At the end of the
// process, the threads are not joined.
//
// Errors: the function's own; internal (it threw); retry (too many wait), exhausted (no thread can
// be started): then it did not run.
//
// Threads: any. After a fork, the child starts with no such threads and no calls.
#pragma once

#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

#include "semper/env/internal/blocking_call.h"
#include "semper/env/one_shot.h"

namespace semper {

inline constexpr std::size_t kBlockingThreads = 64;
inline constexpr std::size_t kBlockingCallsWaiting = 10'000;

template <class F>
requires std::is_invocable_v<F&>
auto run_blocking(F f)
    -> asio::awaitable<typename internal::BlockingReturns<std::invoke_result_t<F&>>::Type> {
  using R = typename internal::BlockingReturns<std::invoke_result_t<F&>>::Type;
  OneShot<R> answer;
  internal::BlockingCall call;
  const auto progress = call.begin();
  std::function<void()> work = [&f, answer, progress]() mutable {
    R result = internal::call_blocking<R>(f);
    internal::BlockingCall::end(*progress);
    answer.set(std::move(result));
  };
  auto started = internal::start_blocking(std::move(work));
  if (!started) {
    internal::BlockingCall::end(*progress);
    co_return fail(started.error());
  }
  auto answered = co_await answer.wait_regardless();
  if (!answered) co_return fail(answered.error());
  co_return std::move(*answered);
}

}  // namespace semper
