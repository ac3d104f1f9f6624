#include "semper/env/internal/shared_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "semper/env/internal/standard_streams.h"
#include "semper/env/standard_streams.h"

namespace semper::internal {
namespace {

// Others make and remove it at the same time.
constexpr int kAttempts = 100;
constexpr mode_t kOwnerMode = 0600;

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// A file that gets its name when it is ready; -1 where the file system cannot do that, with EEXIST
// where somebody else was first.
int make_ready(const std::string& path, const struct stat& like) {
  const int made = above_standard_streams(
      ::open(folder_of(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, kOwnerMode));
  if (made < 0) return -1;
  give_like(made, like);
  const std::string self = "/proc/self/fd/" + std::to_string(made);
  if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) return made;
  const int number = errno;
  ::close(made);
  errno = number;
  return -1;
}

int make_named(const std::string& path, const struct stat& like) {
  const int made = above_standard_streams(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerMode));
  if (made >= 0) give_like(made, like);
  return made;
}

}  // namespace

void give_like(int descriptor, const struct stat& like) {
  struct stat mine {};
  if (::fstat(descriptor, &mine) != 0) return;
  mode_t mode = (like.st_mode & 0666) | kOwnerMode;
  if ((mine.st_uid != like.st_uid || mine.st_gid != like.st_gid) &&
      ::fchown(descriptor, like.st_uid, like.st_gid) != 0 && mine.st_gid != like.st_gid &&
      ::fchown(descriptor, static_cast<uid_t>(-1), like.st_gid) != 0) {
    mode &= ~mode_t{0060};  // the group is another one
  }
  if ((mine.st_mode & 0777) != mode) static_cast<void>(::fchmod(descriptor, mode));
}

Result<int> open_shared_file(const std::string& path, const struct stat& like) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int there =
        above_standard_streams(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (there >= 0) return there;
    if (errno != ENOENT) break;
    int made = make_ready(path, like);
    if (made < 0 && errno != EEXIST) made = make_named(path, like);
    if (made >= 0) return made;
    if (errno != EEXIST) break;
    errno = EAGAIN;
  }
  return fail(error_from_errno(errno, "cannot open " + path));
}

}  // namespace semper::internal
