// error_from_system: an error of the system's or of Asio's, as an Error.
//
// What for: code on Asio's sockets, which reports by std::error_code, or throws std::system_error.
// Inside the functions given to a Durable nothing has to be caught: what they throw of that sort
// becomes the error by itself. When not: an errno; see error_from_errno (base/result.h).
//
//   catch (const std::system_error& thrown) {
//     return semper::fail(semper::error_from_system(thrown.code(), "asking " + address));
//   }
//
// cancelled for what ended because somebody cancelled it; the kinds of error_from_errno for the
// system's own numbers, but io for a connection that is refused or gone (`closed` is what was
// closed on this side); io for everything else: an end in the middle, names that are not found.
// Threads: any.
#pragma once

#include <string_view>
#include <system_error>

#include "semper/base/result.h"

namespace semper {

// "WHAT: the code's own text".
Error error_from_system(const std::error_code& code, std::string_view what);

}  // namespace semper
