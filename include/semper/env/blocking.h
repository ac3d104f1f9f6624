// run_blocking: a function that blocks its thread, on a thread for such, while its coroutine waits.
//
// What for: libraries without asynchronous calls (libpq, hiredis, getaddrinfo): as the builder of a
// Durable, or in the f of its with(). When not: what is asynchronous already; long computations (a
// Scheduler of their own).
//
//   auto create = [address] {
//     return semper::run_blocking([address] { return open_session(address); });
//   };
//
// The function takes nothing and returns a T, a Result<T> or nothing; run_blocking gives Async<T>.
// With g++ 12 a closure that captures by value is named before the co_await (docs/testing.md).
//
// Ownership: the function ends before its coroutine goes on or is destroyed, so it may use what the
// coroutine holds. That is why a cancellation does not interrupt it: the wait goes on until it has
// returned. Whoever destroys an io_context on which one waits, waits too.
//
// Bounds: kBlockingThreads threads in the process, each ending after 10 s with nothing to do; further
// calls wait for one of them, at most kBlockingCallsWaiting. At the process's end they are left.
//
// Errors: the function's own; internal (it threw); retry (too many wait), exhausted (no thread can be
// started): then it did not run.
//
// Threads: any. After a fork the child begins with none, and with no calls.
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
