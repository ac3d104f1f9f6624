// A runner's turn at a slot (slot.h).
#pragma once

#include <memory>
#include <utility>

#include "slot.h"

namespace semper::internal {

// Ends however the runner's coroutine does, also before it began: another one goes on.
class Slot::Running {
 public:
  Running(std::shared_ptr<Slot> slot, std::uint64_t turn) : slot_(std::move(slot)), turn_(turn) {}
  Running(Running&& other) noexcept = default;
  Running& operator=(Running&&) = delete;
  ~Running() {
    if (slot_ && !is_over_) slot_->pass_on(turn_, Lost::destroyed);
  }

  const std::shared_ptr<Slot>& slot() const { return slot_; }
  std::uint64_t turn() const { return turn_; }
  // From the first round on.
  const std::shared_ptr<Desk>& desk() const { return desk_; }
  void use(std::shared_ptr<Desk> desk) { desk_ = std::move(desk); }
  void finished() { is_over_ = true; }

 private:
  std::shared_ptr<Slot> slot_;
  std::uint64_t turn_;
  std::shared_ptr<Desk> desk_;
  bool is_over_ = false;
};

}  // namespace semper::internal
