#include "ring/turn.h"

#include <string>
#include <utility>

#include "semper/env/cancellation.h"

namespace semper::ring::internal {

void Turn::State::pass_on() {
  std::shared_ptr<Place> next;
  {
    std::lock_guard lock(mutex);
    while (!waiting.empty() && !next) {
      next = std::move(waiting.front());
      waiting.pop_front();
      if (next->given_up) next.reset();
    }
    if (next) {
      next->is_granted = true;
    } else {
      held = false;
    }
  }
  if (next) next->granted.set(true);
}

Async<Turn::Holder> Turn::take(Clock& clock, MonotonicTime deadline) {
  auto place = std::make_shared<Place>();
  {
    std::lock_guard lock(state_->mutex);
    if (!state_->held) {
      state_->held = true;
      co_return Holder(state_);
    }
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
    ~Leave() {
      if (!place) return;
      bool granted = false;
      {
        std::lock_guard lock(state->mutex);
        place->given_up = true;
        granted = place->is_granted;
        // Who waits is counted; one that has gone must not be.
        if (!granted) std::erase(state->waiting, place);
      }
      if (granted) state->pass_on();
    }
  } leave{state_, place};
  SEMPER_CO_TRY_STATUS(not_cancelled(co_await asio::this_coro::cancellation_state));
  SEMPER_CO_TRY_STATUS(co_await place->granted.wait_until(clock, deadline));
  leave.place.reset();
  co_return Holder(state_);
}

}  // namespace semper::ring::internal
