#include "semper/durable/system_errors.h"

#include <string>

#include "semper/env/asio.h"

namespace semper {

Error error_from_system(const std::error_code& code, std::string_view what) {
  std::string text(what);
  if (code == asio::error::operation_aborted) {
    return Error(ErrorKind::cancelled, text + ": cancelled");
  }
  if (code == asio::error::eof) {
    return Error(ErrorKind::io, text + ": the other side closed the connection");
  }
  // Asio has a category of its own for what the standard library calls system_category.
  const bool has_errno = code.category() == std::system_category() ||
                         code.category() == std::generic_category() ||
                         code.category() == asio::error::get_system_category();
  if (has_errno) {
    const Error error = error_from_errno(code.value(), what);
    return error.kind() == ErrorKind::closed ? Error(ErrorKind::io, error.message()) : error;
  }
  return Error(ErrorKind::io, text + ": " + code.message());
}

}  // namespace semper
