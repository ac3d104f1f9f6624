// Turns: places that one coroutine at a time may have, and those who wait for one, in order.
//
// What for: values that bear one user at a time (lease.h). When not: outside this room; counting
// what runs (env/gate.h).
//
// First come, first served: a place that is given back goes to the one who has waited longest, and
// to nobody else. A waiter that leaves (cancelled, past its deadline, destroyed with its loop)
// while it is given a place gives that one back by itself. Bounded by `max_waiters`.
//
// Threads: any.
#pragma once

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

#include "semper/env/one_shot.h"

namespace semper::internal {

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
  using Given = OneShot<Result<Answer>>;
  class Leave;

  void give_back(std::size_t place);

  const std::string name_;
  const std::size_t places_;
  const std::size_t max_waiters_;
  mutable std::mutex mutex_;
  std::vector<std::size_t> free_;           // given back last: at the end
  std::map<std::uint64_t, Given> waiting_;  // in the order they came; then nothing is free
  std::uint64_t last_waiter_ = 0;
  bool closed_ = false;
};

}  // namespace semper::internal
