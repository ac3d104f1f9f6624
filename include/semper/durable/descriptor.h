// wait_readable, wait_writable, is_quiet: for a descriptor that belongs to somebody else's library.
//
// What for: libraries with a socket and non-blocking calls (libpq, libcurl, c-ares), so that no
// thread waits and every wait can be cancelled. When not: libraries that only block; run_blocking
// (env/blocking.h); sockets of Asio's own, which wait by themselves.
//
//   while (PQisBusy(connection) != 0) {
//     SEMPER_CO_TRY_STATUS(co_await semper::wait_readable(PQsocket(connection)));
//     if (PQconsumeInput(connection) == 0) co_return failed(connection);
//   }
//
// The descriptor stays the library's, and is as it was when the wait has ended; nobody closes it,
// and no second wait for it begins, meanwhile. Readable and writable also mean: there is an error
// to be read. Errors: cancelled; those of error_from_system.
// Threads: any; the wait runs on the caller's executor.
#pragma once

#include "semper/env/asio.h"

namespace semper {

Async<void> wait_readable(int descriptor);
Async<void> wait_writable(int descriptor);

// Whether nothing has happened on it: not closed by the other side, no error, nothing to read. Does
// not wait. For is_broken of a connection on which nobody speaks unasked.
bool is_quiet(int descriptor);

}  // namespace semper
