#include "ring/turn.h"

#include <algorithm>
#include <string>
#include <utility>

#include "semper/env/cancellation.h"

namespace semper::ring::internal {

std::uint64_t Turn::State::begin(Clock* clock) {
  holder = ++last;
  if (clock != nullptr) seen = clock->now();
  return holder;
}

void Turn::State::pass_on(std::uint64_t from, Clock* clock) {
  std::shared_ptr<Place> next;
  {
    std::lock_guard lock(mutex);
    if (holder != from) return;  // it was taken over
    while (!waiting.empty() && !next) {
      next = std::move(waiting.front());
      waiting.pop_front();
      if (next->given_up) next.reset();
    }
    holder = 0;
    if (next) next->number = begin(clock);
  }
  if (next) next->granted.set(true);
}

void Turn::Holder::beat() const {
  if (clock_ == nullptr) return;
  std::lock_guard lock(state_->mutex);
  if (state_->holder == number_) state_->seen = clock_->now();
}

std::optional<Turn::Holder> Turn::try_take(Clock& clock) {
  std::lock_guard lock(state_->mutex);
  if (state_->holder != 0) return std::nullopt;
  return Holder(state_, state_->begin(asked(clock)), asked(clock));
}

bool Turn::is_held(Clock& clock) const {
  std::lock_guard lock(state_->mutex);
  return state_->holder != 0 && (patience_ == kForever || clock.now() - state_->seen < patience_);
}

MonotonicTime Turn::next_look(Clock& clock, const Place& place) const {
  if (patience_ == kForever) return kNever;
  std::lock_guard lock(state_->mutex);
  std::int64_t ahead = 1;
  for (const auto& other : state_->waiting) {
    if (other.get() == &place) break;
    ++ahead;
  }
  return clock.after(patience_ * ahead);
}

Async<Turn::Holder> Turn::take(Clock& clock, MonotonicTime deadline) {
  auto place = std::make_shared<Place>();
  {
    std::lock_guard lock(state_->mutex);
    if (state_->holder == 0) co_return Holder(state_, state_->begin(asked(clock)), asked(clock));
    if (state_->waiting.size() >= max_waiting_) {
      co_return fail(ErrorKind::retry, Limit{"max_waiting", max_waiting_},
                     std::to_string(max_waiting_) +
                         " calls wait for their turn already; raise "
                         "max_waiting or call less often");
    }
    state_->waiting.push_back(place);
  }
  // However this coroutine ends, the turn is not lost.
  struct Leave {
    std::shared_ptr<State> state;
    std::shared_ptr<Place> place;
    Clock* clock;
    ~Leave() {
      if (!place) return;
      std::uint64_t number = 0;
      {
        std::lock_guard lock(state->mutex);
        place->given_up = true;
        number = place->number;
        // Who waits is counted; one that has gone must not be.
        if (number == 0) std::erase(state->waiting, place);
      }
      if (number != 0) state->pass_on(number, clock);
    }
  } leave{state_, place, asked(clock)};
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  for (;;) {
    auto granted =
        co_await place->granted.wait_until(clock, std::min(deadline, next_look(clock, *place)));
    if (!granted && granted.error().kind() != ErrorKind::timeout) co_return fail(granted.error());
    std::lock_guard lock(state_->mutex);
    if (granted || place->number != 0) break;
    const MonotonicTime now = clock.now();
    if (patience_ != kForever && now - state_->seen >= patience_) {
      std::erase(state_->waiting, place);
      place->number = state_->begin(&clock);
      break;
    }
    if (now >= deadline) co_return fail(granted.error());
  }
  leave.place.reset();
  co_return Holder(state_, place->number, asked(clock));
}

}  // namespace semper::ring::internal
