// Words in /dev/shm for all processes that have a device open, set up by the first of them.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <thread>

#include "semper/base/assert.h"
#include "semper/env/internal/shared_file.h"
#include "semper/env/internal/standard_streams.h"
#include "semper/env/standard_streams.h"
#include "shared_companion.h"

namespace semper::internal {
namespace {

constexpr const char* kFolder = "/dev/shm";
constexpr const char* kPrefix = "semper-";
constexpr const char* kDeviceSuffix = "-device";
// Files that the first opener of a device looks at, whether a killed process has left them.
constexpr int kSweptMaximum = 256;

constexpr char kMagic[16] = "semper words 1\n";
constexpr std::uint32_t kLayout = 1;
constexpr off_t kOpenersByte = 0;

// Opening again while others open or close: as many attempts with this pause between.
constexpr int kOpenAttempts = 500;
constexpr auto kOpenPause = std::chrono::milliseconds(2);

bool set_lock(int descriptor, short type) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = kOpenersByte;
  lock.l_len = 1;
  return ::fcntl(descriptor, F_OFD_SETLK, &lock) == 0;
}

std::string hex_of(std::uint64_t number) {
  Bytes bytes;
  append_big_endian_u64(bytes, number);
  return to_hex(bytes);
}

// When the file was made, for an inode's number is used again. Empty where the file system does not
// know.
std::string birth_of(int descriptor) {
  struct statx status {};
  if (::statx(descriptor, "", AT_EMPTY_PATH, STATX_BTIME, &status) != 0 ||
      (status.stx_mask & STATX_BTIME) == 0) {
    return "";
  }
  return "-" + hex_of(static_cast<std::uint64_t>(status.stx_btime.tv_sec)) +
         hex_of(status.stx_btime.tv_nsec).substr(8);
}

std::string memory_path(int descriptor, const struct stat& status) {
  const bool is_device = S_ISBLK(status.st_mode);
  const auto device = static_cast<std::uint64_t>(is_device ? status.st_rdev : status.st_dev);
  const std::string path = kFolder + std::string("/") + kPrefix + hex_of(device);
  if (is_device) return path + kDeviceSuffix;
  return path + "-" + hex_of(static_cast<std::uint64_t>(status.st_ino)) + birth_of(descriptor);
}

// Whether memory_path() makes such names.
bool is_memory_name(std::string_view name) {
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(std::strlen(kPrefix));
  if (name.ends_with(kDeviceSuffix)) name.remove_suffix(std::strlen(kDeviceSuffix));
  return name.size() >= 16 && name.find_first_not_of("0123456789abcdef-") == std::string_view::npos;
}

bool is_named(int descriptor, const std::string& path) {
  struct stat open_file {};
  struct stat named {};
  return ::fstat(descriptor, &open_file) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
}

// Takes the name from what nobody holds. An opener in between sees that, and opens again.
bool remove_unheld(int descriptor, const std::string& path) {
  return set_lock(descriptor, F_WRLCK) && is_named(descriptor, path) && ::unlink(path.c_str()) == 0;
}

// What killed processes have left of other devices.
void sweep(const std::string& own_path) {
  std::error_code failed;
  int looked_at = 0;
  for (std::filesystem::directory_iterator at(kFolder, failed), end;
       !failed && at != end && looked_at < kSweptMaximum; at.increment(failed)) {
    const std::string path = at->path().string();
    if (path == own_path || !is_memory_name(at->path().filename().string())) continue;
    ++looked_at;
    const FileDescriptor there(
        above_standard_streams(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)));
    struct stat status {};
    if (there.get() < 0 || ::fstat(there.get(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    static_cast<void>(remove_unheld(there.get(), path));
  }
}

// Made by who may write the device: root, the user's own, its owner, its group where that may. And
// open to nobody who may not.
bool is_trusted(const struct stat& memory, const struct stat& device) {
  const bool by_user =
      memory.st_uid == ::geteuid() || memory.st_uid == 0 || memory.st_uid == device.st_uid;
  const bool by_group = (device.st_mode & S_IWGRP) != 0 && memory.st_gid == device.st_gid;
  const bool by_anybody = (device.st_mode & S_IWOTH) != 0;
  const mode_t open_to = memory.st_mode & 0077;
  const bool same_group = memory.st_gid == device.st_gid || (open_to & 0070) == 0;
  return S_ISREG(memory.st_mode) && memory.st_nlink <= 1 && (by_user || by_group || by_anybody) &&
         same_group && (open_to & ~device.st_mode) == 0;
}

// The next move of who cannot open it.
Error why_not_opened(const Error& error, const std::string& device, const std::string& path) {
  const std::string what =
      error.message() + ", the memory that the processes which have " + device + " open share";
  if (error.kind() != ErrorKind::permission) return Error(error.kind(), what);
  if (::access(path.c_str(), F_OK) != 0 && ::access(kFolder, W_OK) != 0) {
    return Error(error.kind(), what + "; let this user write in " + kFolder +
                                   " (in a container: mount a tmpfs there)");
  }
  return Error(error.kind(), what + "; run them all as one user, or in the group of " + device +
                                 ", or remove " + path +
                                 " where a process that was killed has left it");
}

}  // namespace

bool SharedMemory::is_in_place() const {
  return is_named(descriptor_.get(), path_);
}

Status SharedMemory::map() {
  void* memory = ::mmap(nullptr, sizeof(SharedWords), PROT_READ | PROT_WRITE, MAP_SHARED,
                        descriptor_.get(), 0);
  if (memory == MAP_FAILED) return fail(error_from_errno(errno, "cannot map " + path_));
  words_ = static_cast<SharedWords*>(memory);
  return {};
}

Result<std::shared_ptr<SharedMemory>> SharedMemory::open(const std::string& device, int file,
                                                         const struct stat& status) {
  const std::string path = memory_path(file, status);
  for (int attempt = 0; attempt < kOpenAttempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kOpenPause);
    const auto descriptor_or = open_shared_file(path, status);
    if (!descriptor_or) {
      return fail(why_not_opened(descriptor_or.error(), device, path));
    }
    FileDescriptor opened(*descriptor_or);
    struct stat memory_status {};
    if (::fstat(opened.get(), &memory_status) != 0 || !is_trusted(memory_status, status)) {
      // An opener who is just about to give it away, or to remove it; or what is left of one.
      static_cast<void>(remove_unheld(opened.get(), path));
      if (attempt + 1 < kOpenAttempts) continue;
      return fail(ErrorKind::permission,
                  path + ", the memory that the processes which have " + device +
                      " open share, belongs to another user (" +
                      std::to_string(memory_status.st_uid) +
                      "); end those, or remove it where a process that was killed has left it");
    }
    std::shared_ptr<SharedMemory> memory(new SharedMemory(std::move(opened), path));
    const int descriptor = memory->descriptor_.get();
    if (set_lock(descriptor, F_WRLCK)) {
      if (!memory->is_in_place()) continue;
      give_like(descriptor, status);  // one that a crash left may be from before a change
      // From nothing: what an earlier set of processes left is not trusted.
      if (::ftruncate(descriptor, 0) != 0 ||
          ::posix_fallocate(descriptor, 0, sizeof(SharedWords)) != 0) {
        const bool is_left = !remove_unheld(descriptor, path);
        return fail(ErrorKind::exhausted,
                    "no room in /dev/shm for " + path + (is_left ? ", which is left empty" : "") +
                        "; make some (df /dev/shm), or give the container more (--shm-size)");
      }
      SEMPER_TRY_STATUS(memory->map());
      std::memcpy(memory->words_->magic, kMagic, sizeof kMagic);
      memory->words_->layout = kLayout;
      memory->words_->size = sizeof(SharedWords);
      memory->words_->ready.store(1);
      SEMPER_ASSERT(set_lock(descriptor, F_RDLCK), "a lock can be made weaker");
      sweep(path);
      return memory;
    }
    if (!set_lock(descriptor, F_RDLCK) || !memory->is_in_place()) continue;
    if (::fstat(descriptor, &memory_status) != 0 ||
        memory_status.st_size < off_t{sizeof(SharedWords)}) {
      continue;  // its first opener died halfway: alone, we set it up anew
    }
    SEMPER_TRY_STATUS(memory->map());
    if (memory->words_->ready.load() == 0) continue;
    if (std::memcmp(memory->words_->magic, kMagic, sizeof kMagic) != 0 ||
        memory->words_->layout != kLayout || memory->words_->size != sizeof(SharedWords)) {
      return fail(ErrorKind::unsupported,
                  path +
                      " is in use by processes with another version of Semper; use the same for "
                      "all, or end those first");
    }
    return memory;
  }
  return fail(ErrorKind::retry, path + " is kept by a process that does not finish opening " +
                                    device + "; end it and try again");
}

SharedMemory::~SharedMemory() {
  if (words_ == nullptr) return;
  // The last one leaves nothing behind. Two that close at one moment must not find each other's
  // lock, so each lets go of its own first. An opener in between holds the lock, or sees that the
  // file it locked has lost its name.
  set_lock(descriptor_.get(), F_UNLCK);
  static_cast<void>(remove_unheld(descriptor_.get(), path_));
  ::munmap(words_, sizeof(SharedWords));
}

}  // namespace semper::internal
