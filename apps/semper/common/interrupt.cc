#include "common/interrupt.h"

#include <unistd.h>

#include <csignal>
#include <utility>
#include <variant>

#include "semper/base/assert.h"
#include "semper/env/one_shot.h"
#include "semper/env/termination.h"

namespace semper::cli {

Interrupt::Interrupt() {
  // A file that may not grow so far is an error of the write, not the end of us.
  static_cast<void>(std::signal(SIGXFSZ, SIG_IGN));
  auto signal = termination(Hangup::asks_for_the_end);
  asio::co_spawn(scheduler_.executor(), watch(std::move(signal)), asio::detached);
}

Interrupt::~Interrupt() = default;

Task<void> Interrupt::watch(Async<int> signal) {
  const auto asked = co_await std::move(signal);
  SEMPER_ASSERT(asked, "main() has no other handlers");
  const std::lock_guard lock(mutex_);
  signal_ = *asked;
  act();
}

void Interrupt::decide(OnSignal on_signal) {
  const std::lock_guard lock(mutex_);
  decision_ =
      on_signal == OnSignal::ends_process ? Decision::ends_process : Decision::requests_stop;
  act();
}

void Interrupt::act() {
  if (signal_ == 0 || decision_ == Decision::open) return;
  if (decision_ == Decision::requests_stop) {
    source_.request_stop();
  } else {
    ::kill(::getpid(), signal_);  // after the first signal it has its default action again
  }
}

Task<bool> Interrupt::sleep_until(Clock& clock, MonotonicTime when) const {
  OneShot<std::monostate> news;
  const StopCallback on_stop(token(), [news]() mutable { news.set({}); });
  static_cast<void>(co_await news.wait_until(clock, when));
  co_return !requested();
}

}  // namespace semper::cli
