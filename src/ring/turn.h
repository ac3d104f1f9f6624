// Turn: coroutines one after another, in the order in which they came.
//
//   SEMPER_CO_TRY(Turn::Holder holder, co_await turn.take(clock, deadline));
//
// Who holds it on a caller's loop, which may be run no more, says now and then that it is there
// (Holder::beat). With a `patience`, whoever waits takes the turn from a holder that has not said
// so for that long; what such a turn guards is an order, and never safety.
//
// Threads: any. A coroutine that is cancelled or destroyed while it waits gives its place up.
// Errors: timeout, cancelled, retry (more than `max_waiting` wait).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "semper/env/one_shot.h"

namespace semper::ring::internal {

// A call on a loop which has not run for so long keeps its place, and nobody else's.
inline constexpr Duration kCallerPatience = std::chrono::seconds(3);

class Turn {
  struct Place {
    OneShot<bool> granted;
    std::uint64_t number = 0;  // of its turn, once it is granted
    bool given_up = false;
  };
  struct State {
    std::mutex mutex;
    std::uint64_t holder = 0;  // the number of its turn; 0: nobody
    std::uint64_t last = 0;
    MonotonicTime seen{};  // the holder
    std::deque<std::shared_ptr<Place>> waiting;

    std::uint64_t begin(Clock* clock);  // with the mutex
    void pass_on(std::uint64_t from, Clock* clock);
  };

 public:
  explicit Turn(std::size_t max_waiting, Duration patience = kForever)
      : state_(std::make_shared<State>()), max_waiting_(max_waiting), patience_(patience) {}

  class Holder {
   public:
    Holder(Holder&&) noexcept = default;
    Holder& operator=(Holder&&) = delete;
    ~Holder() {
      if (state_) state_->pass_on(number_, clock_);
    }
    void beat() const;

   private:
    friend class Turn;
    Holder(std::shared_ptr<State> state, std::uint64_t number, Clock* clock)
        : state_(std::move(state)), number_(number), clock_(clock) {}
    std::shared_ptr<State> state_;
    std::uint64_t number_;
    Clock* clock_;  // null: nobody asks when it was seen
  };

  Async<Holder> take(Clock& clock, MonotonicTime deadline = kNever);
  // Where nobody has it, without waiting.
  std::optional<Holder> try_take(Clock& clock);
  // Somebody has it, and is there.
  bool is_held(Clock& clock) const;

 private:
  // The clock costs more than the turn: null where nobody needs it.
  Clock* asked(Clock& clock) const { return patience_ == kForever ? nullptr : &clock; }
  // Places wait so long, and longer the further behind they are, before they look at the holder.
  MonotonicTime next_look(Clock& clock, const Place& place) const;

  std::shared_ptr<State> state_;
  std::size_t max_waiting_;
  Duration patience_;
};

}  // namespace semper::ring::internal
