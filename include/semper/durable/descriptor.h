// wait_readable, wait_writable, is_quiet: for a descriptor that belongs to another library.
//
// What for: libraries with a socket and non-blocking calls (libpq, libcurl, c-ares), so that no
// thread waits and every wait can be cancelled. When not: libraries that only block (use
// run_blocking, env/blocking.h), and Asio's own sockets, which can wait by themselves.
//
//   while (PQisBusy(connection) != 0) {
//     SEMPER_CO_TRY_STATUS(co_await semper::wait_readable(PQsocket(connection)));
//     if (PQconsumeInput(connection) == 0) co_return failed(connection);
//   }
//
// The descriptor still belongs to the library, and is unchanged when the wait has ended. During the
// wait, nobody may close it or begin a second wait for it. Readable and writable also mean that
// there is an error to be read. Errors: cancelled; those of error_from_system.
// Threads: any; the wait runs on the caller's executor.
#pragma once

#include "semper/env/asio.h"

namespace semper {

Async<void> wait_readable(int descriptor);
Async<void> wait_writable(int descriptor);

// True if nothing has happened on the descriptor: not closed by the other side, no error, nothing
// to read. Does not wait. For is_broken of a connection on which the other side never speaks
// unasked.
bool is_quiet(int descriptor);

}  // namespace semper
