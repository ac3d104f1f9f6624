// Controlled cancellation: an operation whose coroutine is cancelled ends where it allows it, and
// nowhere else.
//
// What for: functions that others await and that must leave things in order (a turn that is held, a
// pointer that is half written). When not: code that may end at any await, which is Asio's default.
//
//   Async<void> Ring::advance(Position to) { return run_through(core_->advance(to)); }
//
//   // inside, before a wait that may be long:
//   SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
//   SEMPER_CO_TRY_STATUS(co_await event.wait());            // ends with `cancelled` too
//
// By default, Asio throws at the next co_await of a cancelled coroutine, whatever it is doing.
// run_through() turns this off for one operation. The operation then learns of a cancellation from
// waits that support it (OneShot::wait, sleep_for) and from not_cancelled(), as an Error
// `cancelled`. Operations of a BlockDevice ignore it: they end before their memory does.
//
// Threads: as any coroutine.
#pragma once

#include <exception>
#include <optional>
#include <utility>

#include "semper/env/asio.h"

namespace semper {

// Error: cancelled.
inline Status not_cancelled(const asio::cancellation_state& state) {
  if (state.cancelled() == asio::cancellation_type::none) return {};
  return fail(ErrorKind::cancelled, "the operation was cancelled");
}

// Returns what `work` returns, throws what it throws.
template <class T>
Async<T> run_through(Async<T> work) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  if (!throws) co_return co_await std::move(work);
  co_await asio::this_coro::throw_if_cancelled(false);
  std::exception_ptr thrown;
  std::optional<Result<T>> result;
  try {
    result.emplace(co_await std::move(work));
  } catch (...) {
    thrown = std::current_exception();
  }
  co_await asio::this_coro::throw_if_cancelled(true);
  if (thrown) std::rethrow_exception(thrown);
  co_return std::move(*result);
}

}  // namespace semper
