// create_block_file() of env/file_block_device.h: a file of zeros, durable with its name.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "file_descriptor.h"
#include "semper/block/file_block_device.h"
#include "semper/env/internal/standard_streams.h"
#include "semper/env/standard_streams.h"

namespace semper {
namespace {

constexpr std::uint64_t kPiece = std::uint64_t{1} << 20;
constexpr std::uint64_t kUnit = 4096;

using internal::FileDescriptor;

Status sync_folder(const std::string& path) {
  auto folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
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
    if (written < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
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

}  // namespace

Status create_block_file(const std::string& path, const CreateFileOptions& options) {
  if (options.size == 0 || options.size % kUnit != 0 ||
      options.size > static_cast<std::uint64_t>(INT64_MAX)) {
    return fail(ErrorKind::invalid_argument,
                path + " cannot be made with " + std::to_string(options.size) +
                    " bytes; use a multiple of " + std::to_string(kUnit));
  }
  SEMPER_TRY_STATUS(check_existing(path, options.existing));
  // Made beside the old one and then given its name, so that an error leaves the old one as it was.
  const bool replace = options.existing == Existing::replace;
  const std::string made = replace ? path + ".new" : path;
  if (replace) ::unlink(made.c_str());
  FileDescriptor descriptor(internal::above_standard_streams(
      ::open(made.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644)));
  if (!descriptor) return fail(error_from_errno(errno, "cannot make " + made));
  auto status = fill(descriptor.get(), path, options);
  if (status && replace && ::rename(made.c_str(), path.c_str()) != 0) {
    status = fail(error_from_errno(errno, "cannot replace " + path));
  }
  if (status && replace) return sync_folder(path);  // there is no way back to the old one
  if (status) status = sync_folder(path);
  if (!status) ::unlink(made.c_str());
  return status;
}

}  // namespace semper
