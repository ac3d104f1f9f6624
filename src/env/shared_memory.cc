#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "semper/base/assert.h"
#include "semper/env/shared_file.h"
#include "shared_companion.h"

namespace semper::internal {
namespace {

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

std::string memory_path(const struct stat& status) {
  const bool is_device = S_ISBLK(status.st_mode);
  const auto device = static_cast<std::uint64_t>(is_device ? status.st_rdev : status.st_dev);
  Bytes number;
  append_big_endian_u64(number, device);
  std::string path = "/dev/shm/semper-" + to_hex(number);
  if (is_device) return path + "-device";
  Bytes inode;
  append_big_endian_u64(inode, static_cast<std::uint64_t>(status.st_ino));
  return path + "-" + to_hex(inode);
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

}  // namespace

bool SharedMemory::is_in_place() const {
  struct stat open_file {};
  struct stat named {};
  return ::fstat(descriptor_.get(), &open_file) == 0 && ::stat(path_.c_str(), &named) == 0 &&
         open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
}

Status SharedMemory::map() {
  void* memory = ::mmap(nullptr, sizeof(SharedWords), PROT_READ | PROT_WRITE, MAP_SHARED,
                        descriptor_.get(), 0);
  if (memory == MAP_FAILED) return fail(error_from_errno(errno, "can not map " + path_));
  words_ = static_cast<SharedWords*>(memory);
  return {};
}

Result<std::shared_ptr<SharedMemory>> SharedMemory::open(const std::string& device,
                                                         const struct stat& status) {
  const std::string path = memory_path(status);
  for (int attempt = 0; attempt < kOpenAttempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kOpenPause);
    const auto descriptor_or = open_shared_file(path, status);
    if (!descriptor_or) {
      return fail(Error(descriptor_or.error().kind(),
                        descriptor_or.error().message() +
                            ", the memory that the processes which have " + device +
                            " open share; run them all as one user, or in the group of " + device +
                            ", or open it without a companion"));
    }
    FileDescriptor opened(*descriptor_or);
    struct stat memory_status {};
    if (::fstat(opened.get(), &memory_status) != 0 || !is_trusted(memory_status, status)) {
      // An opener who is just about to give it away, or to remove it.
      if (attempt + 1 < kOpenAttempts) continue;
      return fail(ErrorKind::permission,
                  path + ", the memory that the processes which have " + device +
                      " open share, belongs to another user; end those, or remove it");
    }
    std::shared_ptr<SharedMemory> memory(new SharedMemory(std::move(opened), path));
    const int descriptor = memory->descriptor_.get();
    if (set_lock(descriptor, F_WRLCK)) {
      if (!memory->is_in_place()) continue;
      give_like(descriptor, status);  // one that a crash left may be from before a change
      // From nothing: what an earlier set of processes left is not trusted.
      if (::ftruncate(descriptor, 0) != 0 ||
          ::posix_fallocate(descriptor, 0, sizeof(SharedWords)) != 0) {
        return fail(ErrorKind::exhausted, "no room in /dev/shm for " + path);
      }
      SEMPER_TRY_STATUS(memory->map());
      std::memcpy(memory->words_->magic, kMagic, sizeof kMagic);
      memory->words_->layout = kLayout;
      memory->words_->size = sizeof(SharedWords);
      memory->words_->ready.store(1);
      SEMPER_ASSERT(set_lock(descriptor, F_RDLCK), "a lock can be made weaker");
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
  // The last one leaves nothing behind. An opener in between holds the lock, or sees that the file
  // it locked has lost its name.
  if (words_ != nullptr && set_lock(descriptor_.get(), F_WRLCK) && is_in_place()) {
    ::unlink(path_.c_str());
  }
  if (words_ != nullptr) ::munmap(words_, sizeof(SharedWords));
}

}  // namespace semper::internal
