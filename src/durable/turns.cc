#include "semper/durable/internal/turns.h"

#include <algorithm>
#include <utility>

namespace semper::internal {

// Takes a waiter out of the list, and gives back what it was offered, however its wait ends, its
// coroutine destroyed included.
class Turns::Leave {
 public:
  Leave(Turns& turns, std::uint64_t number) : turns_(turns), number_(number) {}
  Leave(const Leave&) = delete;
  Leave& operator=(const Leave&) = delete;
  ~Leave() {
    if (turns_.fork_.is_foreign()) return;
    {
      std::lock_guard lock(turns_.mutex_);
      turns_.waiting_.erase(number_);
    }
    turns_.take_back(number_);
  }

 private:
  Turns& turns_;
  const std::uint64_t number_;
};

Turns::Turns(std::string name, std::size_t places, std::size_t max_waiters)
    : name_(std::move(name)), places_(places), max_waiters_(max_waiters) {
  for (std::size_t place = places; place > 0; --place) free_.push_back(place - 1);
}

Async<Turns::Answer> Turns::take(std::shared_ptr<Turns> from, Clock& clock, MonotonicTime deadline,
                                 std::function<bool(std::size_t)> is_good) {
  std::uint64_t number = 0;
  while (true) {
    Wakes wakes;
    {
      std::lock_guard lock(from->mutex_);
      if (from->closed_) co_return fail(ErrorKind::closed, from->name_ + " is closed");
      auto& free = from->free_;
      if (!free.empty()) {
        auto at = is_good ? std::find_if(free.rbegin(), free.rend(), is_good) : free.rbegin();
        if (at == free.rend()) at = free.rbegin();
        Answer answer;
        answer.turn = Turn(from, *at);
        free.erase(std::next(at).base());
        co_return answer;
      }
      if (number == 0) {
        if (from->waiting_.size() >= from->max_waiters_) {
          co_return fail(ErrorKind::retry, Limit{"max_waiters", from->max_waiters_},
                         from->name_ + ": max_waiters (" + std::to_string(from->max_waiters_) +
                             ") wait for their turn already");
        }
        number = ++from->last_waiter_;
      }
      from->waiting_.emplace(number, InLine{wakes, &clock, deadline});
    }
    const Leave leave(*from, number);
    auto answered = co_await wakes.wait_until(clock, deadline);
    if (!answered && answered.error().kind() != ErrorKind::timeout) {
      co_return fail(answered.error());
    }
    if (!answered) break;
    if (answered->closed) co_return fail(ErrorKind::closed, from->name_ + " is closed");
    Answer answer;
    answer.failure = std::move(answered->failure);
    if (!answer.failure) answer.turn = from->claim(number);
    if (answer.turn || answer.failure) co_return answer;
    // It was taken back: this loop did not run. What is past its deadline does not wait on.
    if (deadline <= clock.now()) break;
  }
  co_return fail(ErrorKind::timeout,
                 from->name_ + ": the deadline of the call passed before its turn came: " +
                     std::to_string(from->in_use()) + " of " + std::to_string(from->places_) +
                     " in use, " + std::to_string(from->waiting()) + " callers wait");
}

Turns::Turn Turns::try_take(std::size_t place) {
  std::lock_guard lock(mutex_);
  const auto at = std::find(free_.begin(), free_.end(), place);
  if (at == free_.end()) return Turn();
  free_.erase(at);
  return Turn(shared_from_this(), place);
}

void Turns::give_back(std::size_t place) {
  if (fork_.is_foreign()) return;
  std::optional<Wakes> next;
  {
    std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      free_.push_back(place);
      return;
    }
    const auto first = waiting_.begin();
    const auto number = first->first;
    InLine waiter = std::move(first->second);
    waiting_.erase(first);
    Offer offer{place, waiter.clock, 0};
    const auto until = std::min(waiter.deadline, waiter.clock->after(kClaimPatience));
    offer.timer = waiter.clock->call_at(until, [number, weak = weak_from_this()] {
      if (const auto alive = weak.lock()) alive->take_back(number);
    });
    offers_.emplace(number, offer);
    next.emplace(std::move(waiter.wakes));
  }
  next->set(Woken());
}

std::optional<std::size_t> Turns::end_offer(std::uint64_t number) {
  Offer offer;
  {
    std::lock_guard lock(mutex_);
    const auto found = offers_.find(number);
    if (found == offers_.end()) return std::nullopt;
    offer = found->second;
    offers_.erase(found);
  }
  offer.clock->cancel(offer.timer);
  return offer.place;
}

Turns::Turn Turns::claim(std::uint64_t number) {
  const auto place = end_offer(number);
  return place ? Turn(shared_from_this(), *place) : Turn();
}

void Turns::take_back(std::uint64_t number) {
  if (const auto place = end_offer(number)) give_back(*place);
}

void Turns::fail_waiting(const Error& failure) {
  std::map<std::uint64_t, InLine> waiting;
  {
    std::lock_guard lock(mutex_);
    waiting.swap(waiting_);
  }
  for (auto& [number, waiter] : waiting) waiter.wakes.set(Woken{failure, false});
}

void Turns::close() {
  std::map<std::uint64_t, InLine> waiting;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    waiting.swap(waiting_);
  }
  for (auto& [number, waiter] : waiting) waiter.wakes.set(Woken{std::nullopt, true});
}

std::size_t Turns::in_use() const {
  std::lock_guard lock(mutex_);
  return places_ - free_.size();
}

std::size_t Turns::waiting() const {
  std::lock_guard lock(mutex_);
  return waiting_.size();
}

}  // namespace semper::internal
