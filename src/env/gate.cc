#include "semper/env/gate.h"

#include <map>
#include <mutex>
#include <utility>
#include <variant>

#include "semper/base/assert.h"
#include "semper/env/fork.h"

namespace semper {

struct Gate::State {
  explicit State(std::string owner) : what(std::move(owner)) {}

  void leave() {
    std::map<std::uint64_t, OneShot<std::monostate>> to_wake;
    {
      std::lock_guard lock(mutex);
      SEMPER_ASSERT(inside > 0, "nobody leaves a gate that is empty");
      if (--inside == 0 && closed) to_wake.swap(closers);
    }
    for (auto& [number, closer] : to_wake) closer.set({});
  }

  const ForkGuard fork{};
  const std::string what;
  mutable std::mutex mutex;
  std::size_t inside = 0;
  bool closed = false;
  // Those that wait; each leaves however its wait ends.
  std::map<std::uint64_t, OneShot<std::monostate>> closers;
  std::uint64_t last_closer = 0;
};

Gate::Gate(std::string what) : state_(std::make_shared<State>(std::move(what))) {}

Gate::~Gate() {
  if (state_->fork.is_foreign()) return;  // what was inside at the fork is the parent's
  SEMPER_ASSERT(count() == 0, "a gate outlives everything that entered it");
}

Gate::Holder& Gate::Holder::operator=(Holder&& other) noexcept {
  if (this != &other) {
    if (state_) state_->leave();
    state_ = std::move(other.state_);
  }
  return *this;
}

Gate::Holder::~Holder() {
  if (state_) state_->leave();
}

Result<Gate::Holder> Gate::enter() {
  std::lock_guard lock(state_->mutex);
  if (state_->closed) {
    return fail(ErrorKind::closed, state_->what + " is shutting down and takes no new work");
  }
  ++state_->inside;
  return Holder(state_);
}

void Gate::shut() {
  std::lock_guard lock(state_->mutex);
  state_->closed = true;
}

Task<void> Gate::close() {
  static_cast<void>(co_await close_by(nullptr, kNever));
}

Async<void> Gate::close_until(Clock& clock, MonotonicTime deadline) {
  return close_by(&clock, deadline);
}

Async<void> Gate::close_by(Clock* clock, MonotonicTime deadline) {
  struct Leave {
    ~Leave() {
      std::lock_guard lock(state->mutex);
      state->closers.erase(number);
    }
    std::shared_ptr<State> state;
    std::uint64_t number = 0;
  };
  OneShot<std::monostate> empty;
  Leave leave{state_, 0};
  {
    std::lock_guard lock(state_->mutex);
    state_->closed = true;
    if (state_->inside == 0) co_return Status{};
    leave.number = ++state_->last_closer;
    state_->closers.emplace(leave.number, empty);
  }
  // Whoever closes a gate destroys something next: a cancellation may not let it.
  if (clock == nullptr) {
    static_cast<void>(co_await empty.wait_regardless());
    co_return Status{};
  }
  const auto left = co_await empty.wait_regardless_until(*clock, deadline);
  if (left) co_return Status{};
  std::lock_guard lock(leave.state->mutex);
  co_return fail(left.error().kind(), leave.state->what + " is still at work (" +
                                          std::to_string(leave.state->inside) + ")");
}

bool Gate::is_closed() const {
  std::lock_guard lock(state_->mutex);
  return state_->closed;
}

std::size_t Gate::count() const {
  std::lock_guard lock(state_->mutex);
  return state_->inside;
}

}  // namespace semper
