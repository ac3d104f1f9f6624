// Turns: places that one coroutine at a time may have, and those who wait for one, in order.
//
// What for: values that bear one user at a time (lease.h). When not: outside this room; counting
// what runs (env/gate.h).
//
// First come, first served: a place that is given back is offered to the one who has waited
// longest, who claims it when its loop resumes it. A waiter that leaves (cancelled, past its
// deadline, destroyed with its loop) before that gives the offer back by itself. From one whose
// loop does not run, the clock takes it back at its deadline or after kClaimPatience, for the next;
// it may wait on, before all others. Bounded by `max_waiters`.
//
// Threads: any.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "semper/env/fork.h"
#include "semper/env/one_shot.h"

namespace semper::internal {

// How long a loop that is busy may leave a turn unclaimed while others wait for it.
inline constexpr Duration kClaimPatience = std::chrono::seconds(3);

class Turns : public std::enable_shared_from_this<Turns> {
 public:
  // A place; given back by the destructor.
  class Turn {
   public:
    Turn() = default;
    Turn(std::shared_ptr<Turns> of, std::size_t place) : of_(std::move(of)), place_(place) {}
    Turn(Turn&&) noexcept = default;
    Turn& operator=(Turn&& other) noexcept {
      if (this != &other) {
        give_back();
        of_ = std::move(other.of_);
        place_ = other.place_;
      }
      return *this;
    }
    ~Turn() { give_back(); }

    explicit operator bool() const { return of_ != nullptr; }
    std::size_t place() const { return place_; }

   private:
    void give_back() {
      if (const auto of = std::exchange(of_, nullptr)) of->give_back(place_);
    }
    std::shared_ptr<Turns> of_;
    std::size_t place_ = 0;
  };

  // A turn, or what another one's failure means for those who waited behind it.
  struct Answer {
    Turn turn;
    std::optional<Error> failure;
  };

  // `name` stands in messages.
  Turns(std::string name, std::size_t places, std::size_t max_waiters);

  // Of the free places: the first that is_good, given back last, or any. Errors: timeout,
  // cancelled, closed, exhausted.
  static Async<Answer> take(std::shared_ptr<Turns> from, Clock& clock, MonotonicTime deadline,
                            std::function<bool(std::size_t)> is_good);
  // That place, if it is free now.
  Turn try_take(std::size_t place);

  // All who wait now get this in the place of a turn.
  void fail_waiting(const Error& failure);
  // Who waits, and who comes later, gets `closed`.
  void close();

  std::size_t places() const { return places_; }
  std::size_t in_use() const;
  std::size_t waiting() const;

 private:
  struct Woken {  // it ends the wait for a turn, where one is offered or not
    std::optional<Error> failure;
    bool closed = false;
  };
  using Wakes = OneShot<Woken>;
  struct InLine {
    Wakes wakes;
    Clock* clock = nullptr;
    MonotonicTime deadline = kNever;
  };
  struct Offer {
    std::size_t place = 0;
    Clock* clock = nullptr;
    Clock::TimerId timer = 0;  // that takes it back
  };
  class Leave;

  Turn claim(std::uint64_t number);
  void take_back(std::uint64_t number);
  // Removes the offer to that waiter.
  std::optional<std::size_t> end_offer(std::uint64_t number);
  void give_back(std::size_t place);

  const ForkGuard fork_{};  // in a child its lock may be held for ever
  const std::string name_;
  const std::size_t places_;
  const std::size_t max_waiters_;
  mutable std::mutex mutex_;
  std::vector<std::size_t> free_;            // given back last: at the end
  std::map<std::uint64_t, InLine> waiting_;  // in the order they came; then nothing is free
  std::map<std::uint64_t, Offer> offers_;    // to those of these numbers, who wait no more
  std::uint64_t last_waiter_ = 0;
  bool closed_ = false;
};

}  // namespace semper::internal
