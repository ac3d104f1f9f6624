#include "file_device_probe.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "semper/block/block_device.h"
#include "semper/env/internal/standard_streams.h"
#include "semper/env/standard_streams.h"

namespace semper::internal {
namespace {

constexpr std::uint32_t kSmallestSector = 512;
constexpr std::uint32_t kLargestSector = 4096;

// Two processes that open a device at the same moment see each other's test for a mount.
constexpr int kExclusiveAttempts = 50;
constexpr auto kExclusivePause = std::chrono::milliseconds(2);

Error open_error(int number, const std::string& path, const FileDeviceOptions& options) {
  switch (number) {
    case ENOENT:
      return Error(ErrorKind::not_found,
                   path + " is not there; create it first (create_block_file, semper ring create)");
    case ENXIO:
    case ENODEV:
    case ENOMEDIUM:
      return Error(ErrorKind::not_found, path +
                                             " is a device without anything behind it; plug it "
                                             "in, or load its driver");
    case EACCES:
    case EPERM:
      return Error(ErrorKind::permission,
                   path + " may not be opened for " +
                       (options.read_only ? "reading" : "reading and writing") +
                       " by this user; change its owner or mode");
    case EROFS:
      return Error(ErrorKind::permission,
                   path +
                       " is on a file system, or is a device, that is read-only; open it "
                       "read-only or make it writable");
    case EISDIR:
      return Error(ErrorKind::invalid_argument,
                   path + " is a directory; give a regular file or a block device");
    default:
      return error_from_errno(number, "cannot open " + path);
  }
}

// What the kernel says of O_DIRECT on this file: 0 none, else the unit; -1 it does not say.
int direct_unit_by_statx(int descriptor) {
#ifdef STATX_DIOALIGN
  struct statx answer {};
  if (::syscall(SYS_statx, descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &answer) != 0) return -1;
  if ((answer.stx_mask & STATX_DIOALIGN) == 0) return -1;
  return static_cast<int>(std::max(answer.stx_dio_offset_align, answer.stx_dio_mem_align));
#else
  static_cast<void>(descriptor);
  return -1;
#endif
}

// The smallest unit that can be read with O_DIRECT; 0 where none can.
std::uint32_t direct_unit_by_trying(int descriptor) {
  AlignedBuffer buffer(kLargestSector);
  for (std::uint32_t unit = kSmallestSector; unit <= kLargestSector; unit *= 2) {
    if (::pread(descriptor, buffer.data(), unit, unit) >= 0) return unit;
    if (errno != EINVAL) return unit;  // an error of another kind is not about alignment
  }
  return 0;
}

FileDescriptor open_with(const std::string& path, const FileDeviceOptions& options, int flags) {
  const int access = options.read_only ? O_RDONLY : O_RDWR;
  return FileDescriptor(
      above_standard_streams(::open(path.c_str(), access | O_CLOEXEC | O_NOCTTY | flags)));
}

// A block device that is mounted, swapped to, or part of another one has an owner in the kernel.
Status check_not_in_use(const std::string& path, const FileDeviceOptions& options) {
  for (int attempt = 0; attempt < kExclusiveAttempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kExclusivePause);
    if (open_with(path, options, O_EXCL | O_NONBLOCK)) return {};
    if (errno != EBUSY) return fail(open_error(errno, path, options));
  }
  return fail(ErrorKind::permission,
              path +
                  " is in use: mounted, swapped to, or part of a RAID or volume group; take it "
                  "out of use first");
}

Status probe_block_device(ProbedDevice& device, const std::string& path,
                          const FileDeviceOptions& options) {
  int read_only = 0;
  if (!options.read_only && ::ioctl(device.descriptor.get(), BLKROGET, &read_only) == 0 &&
      read_only != 0) {
    return fail(open_error(EROFS, path, options));
  }
  if (!options.read_only) {
    SEMPER_TRY_STATUS(check_not_in_use(path, options));
  }
  int unit = 0;
  if (::ioctl(device.descriptor.get(), BLKSSZGET, &unit) != 0) {
    return fail(error_from_errno(errno, "cannot ask " + path + " for its sector size"));
  }
  device.sector_size = static_cast<std::uint32_t>(unit);
  return {};
}

// Opens again with O_DIRECT where that is asked for and possible.
Status choose_cache(ProbedDevice& device, const std::string& path,
                    const FileDeviceOptions& options) {
  if (!device.is_block_device) device.sector_size = kSmallestSector;
  if (options.cache == DeviceCache::page_cache) return {};
  const int said = direct_unit_by_statx(device.descriptor.get());
  FileDescriptor direct;
  if (said != 0) direct = open_with(path, options, O_DIRECT);
  std::uint32_t unit = 0;
  if (direct) {
    unit = said > 0 ? static_cast<std::uint32_t>(said) : direct_unit_by_trying(direct.get());
  }
  if (unit == 0 || unit > kLargestSector) {
    if (options.cache == DeviceCache::direct) {
      return fail(ErrorKind::unsupported, path +
                                              ": its file system has no O_DIRECT; use another, "
                                              "or allow the page cache");
    }
    return {};
  }
  struct stat status {};
  if (::fstat(direct.get(), &status) != 0 || status.st_ino != device.status.st_ino ||
      status.st_dev != device.status.st_dev) {
    return fail(ErrorKind::retry, path + " was replaced while it was being opened; try again");
  }
  device.sector_size = std::max({device.sector_size, unit, kSmallestSector});
  device.descriptor = std::move(direct);
  device.is_direct = true;
  return {};
}

Status choose_sector_size(ProbedDevice& device, const std::string& path,
                          const FileDeviceOptions& options) {
  const auto wanted = options.sector_size;
  const auto least = device.sector_size;
  if (!std::has_single_bit(least) || least > kLargestSector) {
    return fail(ErrorKind::unsupported, path + " has sectors of " + std::to_string(least) +
                                            " bytes; 512 to 4096 can be used");
  }
  if (wanted == 0) return {};
  if (!std::has_single_bit(wanted) || wanted < kSmallestSector || wanted > kLargestSector) {
    return fail(ErrorKind::invalid_argument,
                "a sector size of " + std::to_string(wanted) + " was asked for; use 512 or 4096");
  }
  if (wanted < least && device.is_direct) {
    return fail(ErrorKind::invalid_argument,
                path + " cannot write less than " + std::to_string(least) +
                    " bytes at once, and sectors of " + std::to_string(wanted) +
                    " were asked for; use " + std::to_string(least) + ", or the page cache");
  }
  device.sector_size = wanted;
  return {};
}

}  // namespace

Result<std::uint64_t> size_now(int descriptor, bool is_block_device) {
  if (is_block_device) {
    std::uint64_t bytes = 0;
    if (::ioctl(descriptor, BLKGETSIZE64, &bytes) != 0) {
      return fail(error_from_errno(errno, "cannot ask for the size"));
    }
    return bytes;
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) {
    return fail(error_from_errno(errno, "cannot ask for the size"));
  }
  return static_cast<std::uint64_t>(status.st_size);
}

Result<ProbedDevice> probe_device(const std::string& path, const FileDeviceOptions& options) {
  ProbedDevice device;
  // Without waiting for the other end of a pipe.
  device.descriptor = open_with(path, options, O_NONBLOCK);
  if (!device.descriptor) return fail(open_error(errno, path, options));
  if (::fstat(device.descriptor.get(), &device.status) != 0) {
    return fail(open_error(errno, path, options));
  }
  device.is_block_device = S_ISBLK(device.status.st_mode);
  if (!device.is_block_device && !S_ISREG(device.status.st_mode)) {
    const char* kind = S_ISDIR(device.status.st_mode)    ? "a directory"
                       : S_ISCHR(device.status.st_mode)  ? "a character device"
                       : S_ISFIFO(device.status.st_mode) ? "a pipe"
                                                         : "a socket";
    return fail(ErrorKind::invalid_argument,
                path + " is " + kind + "; give a regular file or a block device");
  }
  if (device.is_block_device) {
    SEMPER_TRY_STATUS(probe_block_device(device, path, options));
  }
  SEMPER_TRY_STATUS(choose_cache(device, path, options));
  SEMPER_TRY_STATUS(choose_sector_size(device, path, options));
  auto size = size_now(device.descriptor.get(), device.is_block_device);
  if (!size) return fail(size.error().in(path));
  device.true_size = *size;
  device.size = *size / device.sector_size * device.sector_size;
  const auto minimum = std::max<std::uint64_t>(options.minimum_size, device.sector_size);
  if (device.size < minimum) {
    return fail(ErrorKind::invalid_argument, path + " holds " + std::to_string(device.true_size) +
                                                 " bytes, and " + std::to_string(minimum) +
                                                 " are needed; make it larger or take another");
  }
  return device;
}

}  // namespace semper::internal
