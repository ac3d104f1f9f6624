#include "semper/block/local_companion.h"

#include <utility>
#include <vector>

#include "semper/base/assert.h"

namespace semper {
namespace {

class LocalRole final : public DeviceCompanion::Role {
 public:
  LocalRole(std::shared_ptr<void> keep, std::mutex& mutex,
            std::bitset<DeviceCompanion::kRoles>& taken, std::size_t role)
      : keep_(std::move(keep)), mutex_(mutex), taken_(taken), role_(role) {}

  ~LocalRole() override {
    std::lock_guard lock(mutex_);
    taken_.reset(role_);
  }

 private:
  std::shared_ptr<void> keep_;
  std::mutex& mutex_;
  std::bitset<DeviceCompanion::kRoles>& taken_;
  std::size_t role_;
};

}  // namespace

// A place among those who wait for a word, given up when the waiting coroutine goes on or goes
// away.
class LocalCompanion::Registration {
 public:
  Registration(std::shared_ptr<Shared> shared, std::shared_ptr<Handle> handle, std::size_t index)
      : shared_(std::move(shared)), handle_(std::move(handle)), index_(index) {
    std::lock_guard lock(shared_->mutex_);
    closed_ = handle_->closed;
    place_ = shared_->waiting_[index_].insert(shared_->waiting_[index_].end(),
                                              Waiting{handle_.get(), event_});
    shared_->waiting_count_[index_].fetch_add(1);
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() {
    std::lock_guard lock(shared_->mutex_);
    shared_->waiting_[index_].erase(place_);
    shared_->waiting_count_[index_].fetch_sub(1);
  }

  bool was_closed() const { return closed_; }
  OneShot<Wake>& event() { return event_; }

 private:
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<Handle> handle_;
  std::size_t index_;
  OneShot<Wake> event_;
  bool closed_ = false;
  std::list<Waiting>::iterator place_;
};

LocalCompanion::LocalCompanion(std::shared_ptr<Shared> shared, std::string device)
    : shared_(std::move(shared)), handle_(std::make_shared<Handle>()) {
  handle_->device = std::move(device);
  std::lock_guard lock(shared_->mutex_);
  ++shared_->handles_;
}

LocalCompanion::~LocalCompanion() {
  close();
}

void LocalCompanion::close() {
  std::vector<std::pair<OneShot<Wake>, Wake>> to_wake;
  {
    std::lock_guard lock(shared_->mutex_);
    if (handle_->closed) return;
    handle_->closed = true;
    for (auto& waiting : shared_->waiting_) {
      for (auto& one : waiting) {
        if (one.handle == handle_.get()) to_wake.emplace_back(one.event, Wake::closed);
      }
    }
    if (--shared_->handles_ == 0) {
      for (auto& word : shared_->words_) word.store(0);
    }
  }
  OneShot<Wake>::set_all(std::move(to_wake));
}

Result<std::unique_ptr<DeviceCompanion::Role>> LocalCompanion::take(std::size_t role) {
  SEMPER_ASSERT(role < kRoles, "a role's number is below kRoles");
  std::lock_guard lock(shared_->mutex_);
  if (handle_->closed) {
    return fail(ErrorKind::closed, handle_->device + " was closed; open it again");
  }
  if (shared_->taken_.test(role)) {
    return fail(ErrorKind::conflict, "role " + std::to_string(role) + " of " + handle_->device +
                                         " is held by another handle; close that one first");
  }
  shared_->taken_.set(role);
  return std::make_unique<LocalRole>(shared_, shared_->mutex_, shared_->taken_, role);
}

std::atomic<std::uint64_t>& LocalCompanion::word(std::size_t index) noexcept {
  SEMPER_ASSERT(index < kWords, "a word's number is below kWords");
  return shared_->words_[index];
}

void LocalCompanion::notify(std::size_t index) noexcept {
  SEMPER_ASSERT(index < kWords, "a word's number is below kWords");
  // Pairs with the registration: who waits counts itself first and reads the word afterwards.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (shared_->waiting_count_[index].load() == 0) return;
  std::vector<std::pair<OneShot<Wake>, Wake>> to_wake;
  {
    std::lock_guard lock(shared_->mutex_);
    for (auto& one : shared_->waiting_[index]) to_wake.emplace_back(one.event, Wake::changed);
  }
  OneShot<Wake>::set_all(std::move(to_wake));
}

Async<void> LocalCompanion::wait(std::size_t index, std::uint64_t seen, Clock& clock,
                                 MonotonicTime deadline) {
  SEMPER_ASSERT(index < kWords, "a word's number is below kWords");
  auto shared = shared_;
  auto handle = handle_;
  while (true) {
    Registration registration(shared, handle, index);
    const bool closed = registration.was_closed();
    if (!closed && shared->words_[index].load() != seen) co_return Status{};
    Result<Wake> woken = Wake::closed;
    if (!closed) woken = co_await registration.event().wait_until(clock, deadline);
    if (!woken) {
      co_return fail(
          woken.error().in("waiting for word " + std::to_string(index) + " of " + handle->device));
    }
    if (*woken == Wake::closed) {
      co_return fail(ErrorKind::closed, handle->device + " was closed; open it again");
    }
  }
}

}  // namespace semper
