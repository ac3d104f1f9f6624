// The only header that includes the core of standalone Asio: it provides the names that Semper
// uses.
//
// What for: asynchronous functions return Async<T>, which is asio::awaitable<Result<T>>, and run on
// whatever executor the caller's coroutine runs on. When not: code that never waits needs none of
// this.
//
//   semper::Async<int> twice(semper::Async<int> one) {
//     SEMPER_CO_TRY(int n, co_await std::move(one));
//     co_return 2 * n;
//   }
#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/dispatch.hpp>
#include <asio/execution/context_as.hpp>
#include <asio/execution_context.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>
#include <asio/query.hpp>
#include <asio/strand.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "semper/base/result.h"

namespace semper {

using Executor = asio::any_io_executor;

// A coroutine that yields a T and cannot fail.
template <class T>
using Task = asio::awaitable<T>;

// A coroutine that yields a T or an Error.
template <class T>
using Async = asio::awaitable<Result<T>>;

// Lets everything that already waits on this executor run first, then continues.
inline Task<void> yield_now() {
  auto executor = co_await asio::this_coro::executor;
  co_await asio::post(executor, asio::use_awaitable);
}

}  // namespace semper
