#include "semper/env/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

#include "semper/base/internal/mutant.h"
#include "semper/env/internal/standard_streams.h"

namespace semper {

void guard_standard_streams() {
  if (SEMPER_MUTANT("tool_closed_standard_streams_left_closed")) return;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one: those below it are taken. Opened for the wrong direction.
    const int access = stream == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    static_cast<void>(::open("/dev/null", access));
  }
}

namespace internal {

int above_standard_streams(int descriptor) {
  if (descriptor < 0 || descriptor > STDERR_FILENO) return descriptor;
  const int moved = ::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int number = errno;
  ::close(descriptor);
  errno = number;
  return moved;
}

}  // namespace internal
}  // namespace semper
