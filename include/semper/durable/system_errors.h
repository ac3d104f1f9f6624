// error_from_system: turns an error of the system or of Asio into an Error.
//
// What for: code that uses Asio's sockets, which report std::error_code or throw std::system_error.
// Functions given to a Durable need not catch such exceptions: they become errors automatically.
// When not: an errno; see error_from_errno (base/result.h).
//
//   catch (const std::system_error& thrown) {
//     return semper::fail(semper::error_from_system(thrown.code(), "asking " + address));
//   }
//
// The kind is cancelled if the operation was cancelled; that of error_from_errno for the system's
// own numbers, but io for a connection that was refused or lost (`closed` means closed on this
// side); and io for everything else, such as an unexpected end or an unknown name. Threads: any.
#pragma once

#include <string_view>
#include <system_error>

#include "semper/base/result.h"

namespace semper {

// "WHAT: the code's own text".
Error error_from_system(const std::error_code& code, std::string_view what);

}  // namespace semper
