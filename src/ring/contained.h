// contained(): what a device, or a function of the user's, throws is an error of the call.
//
// What for: calls that only look, on their caller's thread. When not: work in turn (apart.h), which
// contains itself.
//
//   return run_through(contained(look_at(device)));
//
// Threads: the caller's.
#pragma once

#include <exception>
#include <utility>

#include "semper/base/internal/thrown.h"
#include "semper/env/asio.h"

namespace semper::ring::internal {

template <class T>
Async<T> contained(Async<T> work) {
  try {
    co_return co_await std::move(work);
  } catch (const std::exception& thrown) {
    co_return fail(ErrorKind::internal, semper::internal::text_of(thrown));
  } catch (...) {
    co_return fail(ErrorKind::internal, "what was thrown is no exception");
  }
}

}  // namespace semper::ring::internal
