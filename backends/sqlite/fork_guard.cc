#include "fork_guard.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <iterator>
#include <utility>

namespace semper::sqlite {
namespace {

// Slots hold a descriptor plus one, so that zero is free. Only atomics: the child of a process with
// threads may not lock anything.
std::array<std::atomic<int>, kCloseInChildMaximum> descriptors;
std::array<std::atomic<int>, kSocketsClosedInChildMaximum> sockets;
// One more than the highest slot of `sockets` that was ever used: a fork looks at no more.
std::atomic<std::size_t> sockets_used{0};

constinit std::mutex shared_mutex;

// SQLite was initialised. Under `shared_mutex`.
constinit bool is_prepared = false;

// SQLite's mutexes that are not of one connection, the outer ones first.
constexpr int kMutexes[] = {
    SQLITE_MUTEX_STATIC_MAIN, SQLITE_MUTEX_STATIC_OPEN, SQLITE_MUTEX_STATIC_VFS1,
    SQLITE_MUTEX_STATIC_VFS2, SQLITE_MUTEX_STATIC_VFS3, SQLITE_MUTEX_STATIC_PRNG,
    SQLITE_MUTEX_STATIC_LRU,  SQLITE_MUTEX_STATIC_PMEM, SQLITE_MUTEX_STATIC_MEM};

// Mixed into the number of each file, as SQLite sees it: nothing in the first process.
std::atomic<std::uint64_t> salt{0};

int salted_fstat(int descriptor, struct stat* status) {
  const int code = ::fstat(descriptor, status);
  if (code == 0) status->st_ino ^= salt.load(std::memory_order_relaxed);
  return code;
}

int salted_stat(const char* path, struct stat* status) {
  const int code = ::stat(path, status);
  if (code == 0) status->st_ino ^= salt.load(std::memory_order_relaxed);
  return code;
}

// SQLite asks for its log and its index with O_CREAT, which the kernel refuses root in sticky
// folders where they are another user's (fs.protected_regular).
int careful_open(const char* path, int flags, int mode) {
  while ((flags & (O_CREAT | O_EXCL)) == O_CREAT) {
    const int there = ::open(path, flags & ~O_CREAT, mode);
    if (there >= 0 || errno != ENOENT) return there;
    const int made = ::open(path, flags | O_EXCL, mode);
    if (made >= 0 || errno != EEXIST) return made;
  }
  return ::open(path, flags, mode);
}

sqlite3_vfs* default_vfs() {
  sqlite3_vfs* vfs = sqlite3_vfs_find("unix");
  return vfs != nullptr && vfs->iVersion >= 3 ? vfs : nullptr;
}

// Under SQLite's default VFS, whose system calls can be replaced one by one.
void give_files_other_numbers() {
  constexpr std::uint64_t kOddNumber = 0x9e3779b97f4a7c15ULL;
  salt.store((fork_generation() + 1) * kOddNumber, std::memory_order_relaxed);
  sqlite3_vfs* vfs = default_vfs();
  if (vfs == nullptr) return;
  vfs->xSetSystemCall(vfs, "fstat", reinterpret_cast<sqlite3_syscall_ptr>(salted_fstat));
  vfs->xSetSystemCall(vfs, "stat", reinterpret_cast<sqlite3_syscall_ptr>(salted_stat));
}

void before_fork() {
  shared_mutex.lock();
  if (!is_prepared) return;
  for (const int mutex : kMutexes) sqlite3_mutex_enter(sqlite3_mutex_alloc(mutex));
}

void let_go() {
  if (is_prepared) {
    for (auto mutex = std::rbegin(kMutexes); mutex != std::rend(kMutexes); ++mutex) {
      sqlite3_mutex_leave(sqlite3_mutex_alloc(*mutex));
    }
  }
  shared_mutex.unlock();
}

void in_child() {
  const bool gives_numbers = is_prepared;
  let_go();
  if (gives_numbers) give_files_other_numbers();
  for (auto& slot : descriptors) {
    const int descriptor = slot.exchange(0, std::memory_order_relaxed) - 1;
    if (descriptor >= 0) ::close(descriptor);
  }
  for (std::size_t i = 0; i < sockets_used.load(); ++i) {
    const int descriptor = sockets[i].exchange(0, std::memory_order_relaxed) - 1;
    if (descriptor >= 0) ::close(descriptor);
  }
}

// When the program is loaded: while a thread opens the first store, another one may fork.
[[gnu::constructor]] void prepare_for_forks() {
  static_cast<void>(pthread_atfork(before_fork, let_go, in_child));
}

}  // namespace

void prepare_process() {
  std::lock_guard lock(shared_mutex);
  if (std::exchange(is_prepared, true)) return;
  sqlite3_initialize();
  if (sqlite3_vfs* vfs = default_vfs(); vfs != nullptr) {
    vfs->xSetSystemCall(vfs, "open", reinterpret_cast<sqlite3_syscall_ptr>(careful_open));
  }
}

std::mutex& fork_safe_mutex() {
  return shared_mutex;
}

bool close_in_child(int descriptor) {
  for (auto& slot : descriptors) {
    int expected = 0;
    if (slot.compare_exchange_strong(expected, descriptor + 1)) return true;
  }
  return false;
}

bool close_socket_in_child(int descriptor) {
  for (std::size_t i = 0; i < sockets.size(); ++i) {
    int expected = 0;
    if (!sockets[i].compare_exchange_strong(expected, descriptor + 1)) continue;
    auto used = sockets_used.load();
    while (used < i + 1 && !sockets_used.compare_exchange_weak(used, i + 1)) {
    }
    return true;
  }
  return false;
}

void forget_socket_descriptor(int descriptor) {
  for (std::size_t i = 0; i < sockets_used.load(); ++i) {
    int expected = descriptor + 1;
    if (sockets[i].compare_exchange_strong(expected, 0)) return;
  }
}

void forget_descriptor(int descriptor) {
  for (auto& slot : descriptors) {
    int expected = descriptor + 1;
    if (slot.compare_exchange_strong(expected, 0)) return;
  }
}

}  // namespace semper::sqlite
