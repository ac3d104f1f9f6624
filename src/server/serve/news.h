// News: something that happens again and again, and the coroutines that wait for the next time.
//
//   auto next = news.next();                    // from now on nothing is missed
//   ... look whether it has happened already ...
//   co_await next.event().wait_until(...);      // or wait_for_news
//
// Whoever waits is on the list for as long as its Place lives and no longer, however the wait ends:
// by the news, a deadline, cancellation, or a loop that is destroyed. So the list is never longer
// than the number of coroutines that wait, however rarely there is news. Threads: any.
//
// UnorderedTurns: coroutines that must not run at once, also where they wait for the store in
// between. (The room durable has Turns, with an order, in this namespace: programs link both.)
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <variant>

#include "semper/env/asio.h"
#include "semper/env/one_shot.h"

namespace semper::internal {

class News {
  struct State {
    std::mutex mutex;
    std::uint64_t last = 0;
    std::map<std::uint64_t, OneShot<std::monostate>> waiting;  // in the order of their coming
  };

 public:
  class Place {
   public:
    Place(Place&&) noexcept = default;
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (!state_) return;
      std::lock_guard lock(state_->mutex);
      state_->waiting.erase(number_);
    }

    // Set when there is news.
    OneShot<std::monostate>& event() { return event_; }

   private:
    friend class News;
    explicit Place(std::shared_ptr<State> state) : state_(std::move(state)) {
      std::lock_guard lock(state_->mutex);
      number_ = ++state_->last;
      state_->waiting.emplace(number_, event_);
    }

    std::shared_ptr<State> state_;
    OneShot<std::monostate> event_;
    std::uint64_t number_ = 0;
  };

  Place next() { return Place(state_); }

  // Wakes all that wait, in the order of their coming.
  void announce() {
    std::map<std::uint64_t, OneShot<std::monostate>> woken;
    {
      std::lock_guard lock(state_->mutex);
      woken.swap(state_->waiting);
    }
    for (auto& [number, event] : woken) event.set({});
  }

  std::size_t waiting() const {
    std::lock_guard lock(state_->mutex);
    return state_->waiting.size();
  }

 private:
  const std::shared_ptr<State> state_ = std::make_shared<State>();
};

// One coroutine at a time; the others wait, without an order.
class UnorderedTurns {
 public:
  class Turn {
   public:
    explicit Turn(UnorderedTurns& turns) : turns_(&turns) {}
    Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (turns_ == nullptr) return;
      turns_->taken_.store(false);
      turns_->over_.announce();
    }

   private:
    UnorderedTurns* turns_;
  };

  // Error: cancelled. The turn ends with the value, which must not outlive this.
  Async<Turn> take() {
    while (true) {
      auto over = over_.next();
      if (!taken_.exchange(true)) co_return Turn(*this);
      auto woken = co_await over.event().wait();
      if (!woken) co_return fail(woken.error());
    }
  }

 private:
  std::atomic<bool> taken_ = false;
  News over_;
};

}  // namespace semper::internal
