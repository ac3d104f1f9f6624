#include "shared_companion.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>
#include <vector>

#include "semper/base/assert.h"
#include "semper/base/internal/mutant.h"

namespace semper::internal {
namespace {

// The bytes of the roles: on the device far behind its end, out of the way of anybody's locks on
// its content; on the shared memory behind the openers' byte.
constexpr off_t kRolesOnDevice = off_t{1} << 61;
constexpr off_t kRolesOnMemory = 64;

// How often a handle looks that could not start its thread.
constexpr auto kLookWithoutThread = std::chrono::milliseconds(20);

// The bits that a futex sleeper listens to: one for all kicks, the others shared by the words.
constexpr std::uint32_t kKick = std::uint32_t{1} << 31;
std::uint32_t bit_of(std::size_t index) {
  return std::uint32_t{1} << (index % 31);
}

void futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t value, std::uint32_t bits) {
  ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, value, nullptr, nullptr, bits);
}

void futex_wake(std::atomic<std::uint32_t>& word, std::uint32_t bits) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, INT32_MAX, nullptr, nullptr, bits);
}

void wake_sleepers(SharedWords& words, std::uint32_t bits) {
  words.generation.fetch_add(1);
  futex_wake(words.generation, bits);
}

int role_lock(int descriptor, int command, short type, off_t byte) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return ::fcntl(descriptor, command, &lock) == 0 ? 0 : errno;
}

}  // namespace

class SharedCompanion::HeldRole final : public Role {
 public:
  HeldRole(std::shared_ptr<Shared> shared, int descriptor, off_t byte, std::size_t role)
      : shared_(std::move(shared)), descriptor_(descriptor), byte_(byte), role_(role) {}
  ~HeldRole() override {
    if (shared_->fork.is_foreign()) return;  // the parent's
    std::lock_guard lock(shared_->mutex);
    role_lock(descriptor_, F_OFD_SETLK, F_UNLCK, byte_);
    shared_->taken.reset(role_);
  }

 private:
  std::shared_ptr<Shared> shared_;
  int descriptor_;
  off_t byte_;
  std::size_t role_;
};

// A place among those who wait for a word, given up when the waiting coroutine goes on or goes
// away.
class SharedCompanion::Registration {
 public:
  Registration(std::shared_ptr<Shared> shared, std::size_t index, std::uint64_t seen)
      : shared_(std::move(shared)), index_(index) {
    std::lock_guard lock(shared_->mutex);
    auto& list = shared_->waiting[index_];
    place_ = list.insert(list.end(), Waiting{seen, event_});
    shared_->context.memory->words().words[index_].waiters.fetch_add(1);
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() {
    // The parent's, which waits on: its memory is shared.
    if (shared_->fork.is_foreign() && !SEMPER_MUTANT("block_child_unregisters_its_parent")) return;
    std::lock_guard lock(shared_->mutex);
    shared_->context.memory->words().words[index_].waiters.fetch_sub(1);
    shared_->waiting[index_].erase(place_);
  }

  OneShot<Wake>& event() { return event_; }

 private:
  std::shared_ptr<Shared> shared_;
  std::size_t index_;
  OneShot<Wake> event_;
  std::list<Waiting>::iterator place_;
};

SharedCompanion::SharedCompanion(Context context) : shared_(std::make_shared<Shared>()) {
  const int descriptor = context.descriptor->get();
  shared_->locks_on_device = role_lock(descriptor, F_OFD_GETLK,
                                       context.read_only ? F_RDLCK : F_WRLCK, kRolesOnDevice) == 0;
  shared_->context = std::move(context);
}

SharedCompanion::~SharedCompanion() {
  close();
}

void SharedCompanion::close() {
  std::vector<std::pair<OneShot<Wake>, Wake>> to_wake;
  std::thread ending;
  {
    std::lock_guard lock(shared_->mutex);
    if (shared_->closed) return;
    shared_->closed = true;
    for (auto& list : shared_->waiting) {
      for (auto& one : list) to_wake.emplace_back(one.event, Wake::closed);
    }
    ending.swap(thread_);
  }
  OneShot<Wake>::set_all(std::move(to_wake));
  if (!ending.joinable()) return;
  shared_->stopping.store(true);
  wake_sleepers(shared_->context.memory->words(), kKick);
  ending.join();
}

Result<std::unique_ptr<DeviceCompanion::Role>> SharedCompanion::take(std::size_t role) {
  SEMPER_ASSERT(role < kRoles, "a role's number is below kRoles");
  const auto& context = shared_->context;
  SEMPER_TRY_STATUS(shared_->fork.check(context.device));
  std::lock_guard lock(shared_->mutex);
  if (shared_->closed)
    return fail(ErrorKind::closed, context.device + " was closed; open it again");
  if (context.read_only) {
    return fail(ErrorKind::permission, context.device +
                                           " was opened read-only, and roles are for "
                                           "those who write");
  }
  const int descriptor = role_descriptor();
  const off_t byte =
      (shared_->locks_on_device ? kRolesOnDevice : kRolesOnMemory) + static_cast<off_t>(role);
  const int error =
      shared_->taken.test(role) ? EAGAIN : role_lock(descriptor, F_OFD_SETLK, F_WRLCK, byte);
  const bool held = error == EAGAIN || error == EACCES;
  if (held && SEMPER_MUTANT("block_role_given_twice")) {
    return std::make_unique<HeldRole>(shared_, descriptor, byte, role);
  }
  if (held) {
    return fail(ErrorKind::conflict,
                "role " + std::to_string(role) + " of " + context.device +
                    " is held by another handle or process; end that one first");
  }
  if (error != 0) {
    return fail(error_from_errno(
        error, "cannot lock role " + std::to_string(role) + " of " + context.device));
  }
  shared_->taken.set(role);
  return std::make_unique<HeldRole>(shared_, descriptor, byte, role);
}

int SharedCompanion::role_descriptor() const noexcept {
  const auto& context = shared_->context;
  return shared_->locks_on_device ? context.descriptor->get() : context.memory->descriptor();
}

std::atomic<std::uint64_t>& SharedCompanion::word(std::size_t index) noexcept {
  SEMPER_ASSERT(index < kWords, "a word's number is below kWords");
  return shared_->context.memory->words().words[index].value;
}

void SharedCompanion::notify(std::size_t index) noexcept {
  SEMPER_ASSERT(index < kWords, "a word's number is below kWords");
  auto& words = shared_->context.memory->words();
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (words.words[index].waiters.load() == 0) return;
  wake_sleepers(words, bit_of(index));
}

bool SharedCompanion::arm(std::size_t index) {
  if (shared_->armed.test(index)) return true;
  if (thread_.joinable()) {
    shared_->armed.set(index);
    wake_sleepers(shared_->context.memory->words(), kKick);
    return true;
  }
  try {
    thread_ = std::thread([shared = shared_] {
      pthread_setname_np(pthread_self(), "semper-words");
      run(*shared);
    });
  } catch (const std::system_error&) {
    return false;
  }
  shared_->armed.set(index);
  return true;
}

std::uint32_t SharedCompanion::wake_changed(Shared& shared) {
  std::uint32_t bits = kKick;
  std::vector<std::pair<OneShot<Wake>, Wake>> to_wake;
  {
    std::lock_guard lock(shared.mutex);
    for (std::size_t index = 0; index < kWords; ++index) {
      if (!shared.armed.test(index)) continue;
      bits |= bit_of(index);
      const auto value = shared.context.memory->words().words[index].value.load();
      for (auto& one : shared.waiting[index]) {
        if (one.seen != value) to_wake.emplace_back(one.event, Wake::changed);
      }
    }
  }
  OneShot<Wake>::set_all(std::move(to_wake));
  return bits;
}

void SharedCompanion::run(Shared& shared) {
  auto& generation = shared.context.memory->words().generation;
  while (!shared.stopping.load()) {
    // Loaded before the look: a change after it makes the wait return at once.
    const auto seen = generation.load();
    const auto bits = wake_changed(shared);
    if (shared.stopping.load()) return;
    futex_wait(generation, seen, bits);
  }
}

Async<void> SharedCompanion::wait(std::size_t index, std::uint64_t seen, Clock& clock,
                                  MonotonicTime deadline) {
  SEMPER_ASSERT(index < kWords, "a word's number is below kWords");
  auto shared = shared_;
  SEMPER_CO_TRY_STATUS(shared->fork.check(shared->context.device));
  while (true) {
    bool is_woken = true;
    {
      std::lock_guard lock(shared->mutex);
      if (!shared->closed) is_woken = arm(index);
    }
    Registration registration(shared, index, seen);
    bool closed = false;
    {
      std::lock_guard lock(shared->mutex);
      closed = shared->closed;
    }
    if (!closed && shared->context.memory->words().words[index].value.load() != seen) {
      co_return Status{};
    }
    Result<Wake> woken = Wake::closed;
    if (!closed) {
      const MonotonicTime until =
          is_woken ? deadline : std::min(deadline, clock.after(kLookWithoutThread));
      woken = co_await registration.event().wait_until(clock, until);
      const bool looks_again =
          !woken && woken.error().kind() == ErrorKind::timeout && until < deadline;
      if (looks_again) continue;
    }
    if (!woken) {
      co_return fail(woken.error().in("waiting for word " + std::to_string(index) + " of " +
                                      shared->context.device));
    }
    if (*woken == Wake::closed) {
      co_return fail(ErrorKind::closed, shared->context.device + " was closed; open it again");
    }
  }
}

}  // namespace semper::internal
