// Turn: coroutines one after another, in the order in which they came.
//
//   SEMPER_CO_TRY(const Turn::Holder holder, co_await turn.take(clock, deadline));
//
// Threads: any. A coroutine that is cancelled or destroyed while it waits gives its place up.
// Errors: timeout, cancelled, exhausted (more than `max_waiting` wait).
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>

#include "semper/env/one_shot.h"

namespace semper::ring::internal {

class Turn {
  struct Place {
    OneShot<bool> granted;
    bool is_granted = false;
    bool given_up = false;
  };
  struct State {
    std::mutex mutex;
    bool held = false;
    std::deque<std::shared_ptr<Place>> waiting;

    void pass_on();
  };

 public:
  explicit Turn(std::size_t max_waiting)
      : state_(std::make_shared<State>()), max_waiting_(max_waiting) {}

  class Holder {
   public:
    Holder(Holder&&) noexcept = default;
    Holder& operator=(Holder&&) = delete;
    ~Holder() {
      if (state_) state_->pass_on();
    }

   private:
    friend class Turn;
    explicit Holder(std::shared_ptr<State> state) : state_(std::move(state)) {}
    std::shared_ptr<State> state_;
  };

  Async<Holder> take(Clock& clock, MonotonicTime deadline = kNever);

 private:
  std::shared_ptr<State> state_;
  std::size_t max_waiting_;
};

}  // namespace semper::ring::internal
