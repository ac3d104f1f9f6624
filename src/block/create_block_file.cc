// create_block_file() of block/file_block_device.h: a file of zeros, durable with its name.
//
// It gets its name when it is full of zeros and durable: whoever finds a file there may put a ring
// into it at once, which the zeros still to come would write over. Until then it has none
// (O_TMPFILE), so that nothing is left of a process that is killed. Where the file system knows no
// such files, it has one of its own beside.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "file_descriptor.h"
#include "semper/base/internal/mutant.h"
#include "semper/block/file_block_device.h"
#include "semper/env/internal/standard_streams.h"
#include "semper/env/standard_streams.h"

namespace semper {
namespace {

constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
constexpr std::uint64_t kUnit = 4096;

using internal::FileDescriptor;

constexpr mode_t kMode = 0644;
// Names beside it that are tried, where it needs one.
constexpr int kNamesTried = 100;

std::string folder_of(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

Status sync_folder(const std::string& path) {
  FileDescriptor descriptor(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor || ::fsync(descriptor.get()) != 0) {
    return fail(error_from_errno(errno, "cannot make the name " + path + " durable"));
  }
  return {};
}

Status fill(int descriptor, const std::string& path, const CreateFileOptions& options) {
  // Asked first: a reservation that does not fit may fill the disk before it fails, under everybody
  // else's feet.
  struct statvfs room {};
  if (::fstatvfs(descriptor, &room) == 0 && room.f_blocks > 0) {
    const auto free = std::uint64_t{room.f_bavail} * room.f_frsize;
    if (options.size > free) {
      return fail(ErrorKind::exhausted,
                  "no room for " + std::to_string(options.size) + " bytes of " + path +
                      ", there are " + std::to_string(free) + " free; make room or ask for less");
    }
  }
  // Reserved in one piece first, so that a lack of room shows at once and the file lies together;
  // then written. Where it cannot be reserved, it is only written.
  if (::fallocate(descriptor, 0, 0, static_cast<off_t>(options.size)) != 0 && errno == ENOSPC) {
    return fail(ErrorKind::exhausted, "no room for " + std::to_string(options.size) + " bytes of " +
                                          path + "; make room or ask for less");
  }
  const AlignedBuffer zeros(kPiece);
  for (std::uint64_t at = 0; at < options.size;) {
    const auto length = static_cast<std::size_t>(std::min(kPiece, options.size - at));
    const ssize_t written = ::pwrite(descriptor, zeros.data(), length, static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EFBIG) {
      return fail(ErrorKind::exhausted,
                  path + " may not be so large, " + std::to_string(options.size) +
                      " bytes; raise the limit of this process (ulimit -f), or ask for less");
    }
    if (written < 0 && (errno == ENOSPC || errno == EDQUOT)) {
      return fail(ErrorKind::exhausted, "no room for byte " + std::to_string(at) + " of " + path +
                                            ", which should get " + std::to_string(options.size) +
                                            "; make room or ask for less");
    }
    if (written <= 0) return fail(error_from_errno(errno, "cannot write to " + path));
    at += static_cast<std::uint64_t>(written);
    if (options.progress && !options.progress(at)) {
      return fail(ErrorKind::cancelled, "making " + path + " was given up");
    }
  }
  if (::fsync(descriptor) != 0) return fail(error_from_errno(errno, "cannot flush " + path));
  return {};
}

// What is there may be replaced only where it is a regular file, and only with leave.
Status check_existing(const std::string& path, Existing existing) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return {};
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorKind::invalid_argument,
                path + " is there and not a regular file; a device needs no creating, open it");
  }
  if (existing == Existing::refuse) {
    return fail(ErrorKind::already_exists,
                path + " is there already, with " + std::to_string(status.st_size) +
                    " bytes; open it, remove it, or ask for it to be replaced");
  }
  return {};
}

// A name beside the file's that nobody else makes: of this process, and a new one each time.
std::string name_beside(const std::string& path) {
  static std::atomic<unsigned> last = 0;
  return path + ".new." + std::to_string(::getpid()) + "." + std::to_string(++last);
}

// A file on its way to its name.
class NewFile {
 public:
  static Result<NewFile> open(const std::string& path) {
    NewFile file(path);
    const int flags = O_RDWR | O_CLOEXEC;
    if (::access("/proc/self/fd", X_OK) == 0) {  // from there it gets its name
      file.hold(::open(folder_of(path).c_str(), flags | O_TMPFILE, kMode));
    }
    for (int tried = 0; !file.descriptor_ && tried < kNamesTried; ++tried) {
      file.name_ = name_beside(path);
      file.hold(::open(file.name_.c_str(), flags | O_CREAT | O_EXCL, kMode));
      if (!file.descriptor_ && errno != EEXIST) break;
    }
    if (file.descriptor_) return file;
    const int why = errno;
    file.name_.clear();
    return fail(error_from_errno(why, "cannot make " + path));
  }

  NewFile(NewFile&& other) noexcept
      : path_(other.path_),
        name_(std::exchange(other.name_, std::string())),
        descriptor_(std::move(other.descriptor_)) {}
  NewFile& operator=(NewFile&&) = delete;
  ~NewFile() {
    if (!name_.empty()) ::unlink(name_.c_str());
  }

  int descriptor() const { return descriptor_.get(); }

  // Error: already_exists.
  Status give_name() {
    if (!move_where_nothing_is()) return {};
    if (errno == EEXIST) {
      return fail(ErrorKind::already_exists,
                  path_ +
                      " was made by somebody else meanwhile; open it, remove it, or ask for it "
                      "to be replaced");
    }
    return fail(error_from_errno(errno, "cannot give " + path_ + " its name"));
  }

  Status take_name() {
    if (name_.empty()) {
      const std::string beside = name_beside(path_);
      if (link_to(beside) != 0) return fail(error_from_errno(errno, "cannot make " + beside));
      name_ = beside;
    }
    if (::rename(name_.c_str(), path_.c_str()) != 0) {
      return fail(error_from_errno(errno, "cannot replace " + path_));
    }
    name_.clear();
    return {};
  }

 private:
  explicit NewFile(std::string path) : path_(std::move(path)) {}

  void hold(int descriptor) {
    const int why = errno;
    descriptor_ = FileDescriptor(internal::above_standard_streams(descriptor));
    if (descriptor < 0) errno = why;
  }

  int link_to(const std::string& name) const {
    if (!name_.empty()) return ::link(name_.c_str(), name.c_str());
    const std::string self = "/proc/self/fd/" + std::to_string(descriptor_.get());
    return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW);
  }

  // 0, or -1 and errno.
  int move_where_nothing_is() {
    if (link_to(path_) == 0) {
      if (!name_.empty()) ::unlink(std::exchange(name_, std::string()).c_str());
      return 0;
    }
    if (errno == EEXIST || name_.empty()) return -1;
    // A file system without links.
    if (::renameat2(AT_FDCWD, name_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) != 0) {
      return -1;
    }
    name_.clear();
    return 0;
  }

  const std::string path_;
  std::string name_;  // empty: it has none yet, or no more than that of `path_`
  FileDescriptor descriptor_;
};

}  // namespace

Status create_block_file(const std::string& path, const CreateFileOptions& options) {
  if (options.size == 0 || options.size % kUnit != 0 ||
      options.size > static_cast<std::uint64_t>(INT64_MAX)) {
    return fail(ErrorKind::invalid_argument,
                path + " cannot be made with " + std::to_string(options.size) +
                    " bytes; use a multiple of " + std::to_string(kUnit));
  }
  SEMPER_TRY_STATUS(check_existing(path, options.existing));
  SEMPER_TRY(NewFile file, NewFile::open(path));
  const bool is_too_early = SEMPER_MUTANT("block_file_has_its_name_before_its_zeros");
  if (is_too_early) SEMPER_TRY_STATUS(file.give_name());
  SEMPER_TRY_STATUS(fill(file.descriptor(), path, options));
  if (options.existing == Existing::replace) {
    SEMPER_TRY_STATUS(file.take_name());
    return sync_folder(path);  // there is no way back to the old one
  }
  if (!is_too_early) SEMPER_TRY_STATUS(file.give_name());
  const Status durable = sync_folder(path);
  if (!durable && !SEMPER_MUTANT("block_file_that_is_not_durable_stays")) ::unlink(path.c_str());
  return durable;
}

}  // namespace semper
