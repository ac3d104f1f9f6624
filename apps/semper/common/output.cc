#include "common/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ostream>

namespace semper::cli {
namespace {

// As guard_standard_streams() left it, or as it was given.
bool is_closed_for_writing(int descriptor) {
  const int flags = ::fcntl(descriptor, F_GETFL);
  return flags < 0 || (flags & O_ACCMODE) == O_RDONLY;
}

Error output_error(int reason) {
  const auto io = [](const std::string& what) { return Error(ErrorKind::io, what); };
  if (reason == EBADF || (reason == 0 && is_closed_for_writing(STDOUT_FILENO))) {
    return io(
        "the standard output is closed, or open for reading only; give it a file, a pipe or "
        "/dev/null");
  }
  if (reason == EPIPE) {
    return io("whoever read the standard output has gone; what it did not read is lost");
  }
  if (reason == ENOSPC || reason == EDQUOT) {
    return io("the standard output could not be written: no room is left where it goes; make some");
  }
  return io("the standard output could not be written" +
            (reason == 0 ? std::string() : std::string(": ") + std::strerror(reason)) +
            "; see where it goes");
}

}  // namespace

void Output::begin() {
  errno = 0;
}

void Output::end() {
  if (!out_ && reason_ == 0) reason_ = errno;
}

Status Output::flush() {
  print([](std::ostream& out) { out.flush(); });
  if (out_) return {};
  return fail(output_error(reason_));
}

}  // namespace semper::cli
