#include "sidecar.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <thread>

#include "fork_guard.h"
#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"
#include "semper/env/internal/shared_file.h"

namespace semper::sqlite {
namespace {

constexpr char kMagic[16] = "semper sidecar\n";
constexpr off_t kOpenersByte = 0;
constexpr off_t kFirstEntryByte = 1;
constexpr mode_t kNewStoreMode = 0644;

// Opening again while others open or close: as many attempts with this pause between.
constexpr int kOpenAttempts = 500;
constexpr auto kOpenPause = std::chrono::milliseconds(10);

bool set_lock(int descriptor, short type, off_t byte) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return ::fcntl(descriptor, F_OFD_SETLK, &lock) == 0;
}

bool is_locked_by_another(int descriptor, off_t byte) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return ::fcntl(descriptor, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

// Empty: there is no /proc, or it is hidden from this process.
Result<std::string> boot_id() {
  const char* const name = "/proc/sys/kernel/random/boot_id";
  const int file = ::open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    const bool is_hidden = errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == EPERM;
    if (is_hidden) return std::string();
    return fail(error_from_errno(errno, std::string("cannot open ") + name));
  }
  std::array<char, sizeof(SidecarLayout::boot_id) - 1> id{};
  const ssize_t size = ::read(file, id.data(), id.size());
  const int reason = errno;
  ::close(file);
  if (size < 0) return fail(error_from_errno(reason, std::string("cannot read ") + name));
  std::string text(id.data(), static_cast<std::size_t>(size));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

bool is_the_file_of_that_name(int descriptor, const std::string& path) {
  struct stat open_file {};
  struct stat named {};
  return ::fstat(descriptor, &open_file) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
}

// The store's file; where there is none yet, what a new one of ours will be.
struct stat status_of_store(const std::string& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) == 0) return status;
  status.st_uid = ::geteuid();
  status.st_gid = ::getegid();
  status.st_mode = kNewStoreMode;
  return status;
}

// A sidecar that we may not write. One that a crash left and nobody uses is removed: true.
bool remove_abandoned(const std::string& name) {
  const int descriptor = ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return false;
  const bool abandoned = !is_locked_by_another(descriptor, kOpenersByte) &&
                         is_the_file_of_that_name(descriptor, name) && ::unlink(name.c_str()) == 0;
  ::close(descriptor);
  return abandoned;
}

Error not_ours(const StorePath& path, const Error& error) {
  const std::string name = path.sidecar();
  struct statvfs mount {};
  if (::statvfs(path.directory.c_str(), &mount) == 0 && (mount.f_flag & ST_RDONLY) != 0) {
    return Error(ErrorKind::permission,
                 path.directory +
                     " is mounted read-only, and who reads a sqlite: store writes beside it, too "
                     "(its log's index, " +
                     name + "); mount it writable, or copy the store to where it may be written");
  }
  struct stat status {};
  if (::stat(name.c_str(), &status) != 0) {
    return Error(ErrorKind::permission,
                 error.message() +
                     "; the processes that have a store open share this file beside it: give this "
                     "process the right to write in " +
                     path.directory);
  }
  return Error(ErrorKind::permission,
               name + " belongs to user " + std::to_string(status.st_uid) + ", and user " +
                   std::to_string(::geteuid()) +
                   " may not write it; end the processes of that user that have the store open, or "
                   "give it to who owns the store: chown --reference=" +
                   path.file + " " + name);
}

void forget_socket(SidecarEntry& entry) {
  entry.topics_used.store(0);
  for (auto& topic : entry.topics) topic.store(0);
  for (auto& word : entry.socket_secret) word.store(0);
  for (auto& word : entry.socket_name) word.store(0);
}

Result<int> open_sidecar_file(const StorePath& path) {
  const std::string name = path.sidecar();
  for (int attempt = 0;; ++attempt) {
    auto opened = semper::internal::open_shared_file(name, status_of_store(path.file));
    if (opened || opened.error().kind() != ErrorKind::permission) return opened;
    if (attempt == 0 && remove_abandoned(name)) continue;
    return fail(not_ours(path, opened.error()));
  }
}

}  // namespace

Result<std::unique_ptr<Sidecar>> Sidecar::open(const StorePath& path, const FirstOpener& first) {
  const std::string name = path.sidecar();
  for (int attempt = 0; attempt < kOpenAttempts; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(kOpenPause);
    // A child that is forked in between would keep the locks.
    std::unique_lock no_fork(fork_safe_mutex());
    SEMPER_TRY(const int descriptor, open_sidecar_file(path));
    const bool is_known = close_in_child(descriptor);
    no_fork.unlock();
    std::unique_ptr<Sidecar> sidecar(new Sidecar(descriptor, name));
    if (!is_known) {
      return fail(
          ErrorKind::exhausted, Limit{"kCloseInChildMaximum", kCloseInChildMaximum},
          "this process has " + std::to_string(kCloseInChildMaximum) + " stores open; close some");
    }
    if (set_lock(descriptor, F_WRLCK, kOpenersByte)) {
      if (!is_the_file_of_that_name(descriptor, name)) continue;
      SEMPER_TRY_STATUS(sidecar->start_anew(path, first));
      SEMPER_ASSERT(set_lock(descriptor, F_RDLCK, kOpenersByte), "a lock can be made weaker");
      return sidecar;
    }
    if (!set_lock(descriptor, F_RDLCK, kOpenersByte)) continue;
    if (!is_the_file_of_that_name(descriptor, name)) continue;
    struct stat status {};
    if (::fstat(descriptor, &status) != 0 || status.st_size < off_t{sizeof(SidecarLayout)}) {
      continue;  // its first opener died halfway, or it was cut short: alone, we set it up anew
    }
    SEMPER_TRY_STATUS(sidecar->map());
    if (sidecar->layout_->ready.load() == 0) continue;
    SEMPER_TRY_STATUS(sidecar->check(path));
    SEMPER_TRY_STATUS(sidecar->claim_entry());
    return sidecar;
  }
  return fail(ErrorKind::retry,
              name +
                  " is kept by a process that does not finish opening or closing the store, or was "
                  "cut short while others use it; end those processes and try again");
}

// From nothing: what an earlier set of processes left is not trusted. With the exclusive lock held.
Status Sidecar::start_anew(const StorePath& path, const FirstOpener& first) {
  SEMPER_TRY(const std::uint64_t version, first());
  SEMPER_TRY(const NamedFile store, look_at(path.file));
  semper::internal::give_like(descriptor_, status_of_store(path.file));
  if (::ftruncate(descriptor_, 0) != 0 ||
      ::posix_fallocate(descriptor_, 0, sizeof(SidecarLayout)) != 0) {
    return fail(ErrorKind::exhausted, "no room on the disk for " + path_);
  }
  SEMPER_TRY_STATUS(map());
  SEMPER_TRY_STATUS(set_up(version, store.identity));
  return claim_entry();
}

Sidecar::~Sidecar() {
  retire();
  if (layout_ != nullptr) ::munmap(layout_, sizeof(SidecarLayout));
}

void Sidecar::retire() {
  if (retired_) return;
  retired_ = true;
  if (entry_ < kHandlesMaximum) {
    mine().wants_turn.store(0);
    mine().watches.store(0);
    mine().long_read.store(0);
    forget_socket(mine());
    mine().in_use.store(0);
  }
  // The last one leaves nothing behind. Two that close at one moment must not find each other's
  // lock, so each lets go of its own first: whoever was the last to do so finds none. An opener in
  // between holds the lock, or sees that the file it locked has lost its name.
  if (!SEMPER_MUTANT("sqlite_closers_find_each_other")) {
    set_lock(descriptor_, F_UNLCK, kOpenersByte);
  }
  if (set_lock(descriptor_, F_WRLCK, kOpenersByte) &&
      is_the_file_of_that_name(descriptor_, path_)) {
    ::unlink(path_.c_str());
  }
  std::lock_guard no_fork(fork_safe_mutex());
  forget_descriptor(descriptor_);
  ::close(descriptor_);
}

Status Sidecar::map() {
  void* memory =
      ::mmap(nullptr, sizeof(SidecarLayout), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
  if (memory == MAP_FAILED) return fail(error_from_errno(errno, "cannot map " + path_));
  layout_ = static_cast<SidecarLayout*>(memory);
  return {};
}

Status Sidecar::set_up(std::uint64_t version, const FileIdentity& store) {
  SEMPER_TRY(const std::string boot, boot_id());
  std::memcpy(layout_->magic, kMagic, sizeof kMagic);
  layout_->layout = kSidecarLayout;
  layout_->size = sizeof(SidecarLayout);
  std::memcpy(layout_->boot_id, boot.c_str(), boot.size() + 1);
  layout_->store = store;
  layout_->version.store(version);
  layout_->seen.store(version);
  layout_->durable.store(version);
  layout_->keys.forget(version);
  layout_->ready.store(1);
  return {};
}

Status Sidecar::check(const StorePath& path) const {
  if (std::memcmp(layout_->magic, kMagic, sizeof kMagic) != 0 ||
      layout_->layout != kSidecarLayout || layout_->size != sizeof(SidecarLayout)) {
    return fail(ErrorKind::unsupported,
                path_ +
                    " is in use by processes with another version or word size of Semper; use the "
                    "same for all, or end those first");
  }
  SEMPER_TRY(const std::string here, boot_id());
  if (here.empty() != (layout_->boot_id[0] == '\0')) {
    return fail(ErrorKind::unsupported,
                path_ + " is in use by a process that " +
                    (here.empty() ? "has the machine's /proc, and this one does not"
                                  : "does not have the machine's /proc, as this one does") +
                    ", so that it cannot be told whether both run on one machine: mount /proc for "
                    "all (or none) of them");
  }
  if (here != std::string(layout_->boot_id)) {
    return fail(ErrorKind::unsupported,
                path_ +
                    " is in use by another machine or virtual machine; a sqlite: store serves the "
                    "processes of one");
  }
  const auto present = look_at(path.file);
  if (!present || present->identity != layout_->store) {
    return fail(ErrorKind::io,
                path.file + (present ? " was replaced" : " was deleted or moved") +
                    " while other processes have the file open that had its name; end those, put "
                    "the right file in its place, and open it then");
  }
  return {};
}

Status Sidecar::claim_entry() {
  for (std::size_t i = 0; i < kHandlesMaximum; ++i) {
    if (!set_lock(descriptor_, F_WRLCK, kFirstEntryByte + static_cast<off_t>(i))) continue;
    entry_ = i;
    // The owner before us died with the turn, or the flush: whoever takes it next is told so.
    for (auto* word : {&layout_->turn, &layout_->flush}) {
      auto seen = word->load();
      while ((seen & ~kTurnWaiters) == i + 1 &&
             !word->compare_exchange_weak(seen, kTurnOfTheDead | (seen & kTurnWaiters))) {
      }
    }
    auto& entry = layout_->entries[i];
    clear(entry);
    for (auto& word : entry.watched) word.store(0);
    entry.pid.store(::getpid());
    entry.user.store(::geteuid());
    entry.in_use.store(1);
    auto used = layout_->entries_used.load();
    while (used < i + 1 &&
           !layout_->entries_used.compare_exchange_weak(used, static_cast<std::uint32_t>(i + 1))) {
    }
    return {};
  }
  return fail(ErrorKind::exhausted, Limit{"kHandlesMaximum", kHandlesMaximum},
              "the store is open " + std::to_string(kHandlesMaximum) +
                  " times already, which is the most; close some");
}

bool Sidecar::is_in_place() const {
  return is_the_file_of_that_name(descriptor_, path_);
}

bool Sidecar::is_dead(std::size_t entry) const {
  return entry != entry_ &&
         !is_locked_by_another(descriptor_, kFirstEntryByte + static_cast<off_t>(entry));
}

void Sidecar::reap_dead_entries() {
  std::lock_guard reaping(reaping_);
  for (std::size_t i = 0; i < kHandlesMaximum; ++i) {
    auto& entry = layout_->entries[i];
    if (i == entry_ || entry.in_use.load() == 0) continue;
    const off_t byte = kFirstEntryByte + static_cast<off_t>(i);
    if (is_locked_by_another(descriptor_, byte)) continue;
    // Held while it is cleared, so that nobody claims it in between.
    if (!set_lock(descriptor_, F_WRLCK, byte)) continue;
    clear(entry);
    entry.in_use.store(0);
    set_lock(descriptor_, F_UNLCK, byte);
  }
}

void Sidecar::clear(SidecarEntry& entry) {
  entry.wants_turn.store(0);
  entry.watches.store(0);
  entry.long_read.store(0);
  forget_socket(entry);
  if (entry.flushes_beside.exchange(0) != 0) layout_->flush_failed.store(1);
}

void Sidecar::if_dead(std::size_t entry, const std::function<void()>& act) {
  const off_t byte = kFirstEntryByte + static_cast<off_t>(entry);
  std::lock_guard lock(reaping_);
  if (!is_dead(entry) || !set_lock(descriptor_, F_WRLCK, byte)) return;
  act();
  set_lock(descriptor_, F_UNLCK, byte);
}

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t value, Duration at_most) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at_most);
  struct timespec timeout {};
  timeout.tv_sec = seconds.count();
  timeout.tv_nsec = (at_most - seconds).count();
  ::syscall(SYS_futex, &word, FUTEX_WAIT, value, &timeout, nullptr, 0);
}

void futex_wake_all(std::atomic<std::uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

void futex_wake_one(std::atomic<std::uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace semper::sqlite
