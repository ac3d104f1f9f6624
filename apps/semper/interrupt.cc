#include "interrupt.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <variant>

#include "semper/base/assert.h"
#include "semper/env/one_shot.h"

namespace semper::cli {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

std::atomic<int> wake_descriptor{-1};
std::atomic<int> first_signal{0};

void wake(int descriptor) {
  const std::uint64_t one = 1;
  static_cast<void>(!::write(descriptor, &one, sizeof one));
}

void set_handler(int signal_number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(signal_number, &action, nullptr);
}

bool is_handler(int signal_number, void (*handler)(int)) {
  struct sigaction action {};
  return ::sigaction(signal_number, nullptr, &action) == 0 && action.sa_handler == handler;
}

// Runs in a signal handler. The first signal is passed on; after it each of them ends the process.
void on_signal(int signal_number) {
  const int saved = errno;
  for (const int number : kSignals) {
    if (is_handler(number, on_signal)) set_handler(number, SIG_DFL);
  }
  int none = 0;
  if (first_signal.compare_exchange_strong(none, signal_number)) wake(wake_descriptor.load());
  errno = saved;
}

}  // namespace

Interrupt::Interrupt() {
  const int descriptor = ::eventfd(0, EFD_CLOEXEC);
  SEMPER_ASSERT(descriptor >= 0, "the system gives no eventfd");
  SEMPER_ASSERT(wake_descriptor.exchange(descriptor) < 0, "one Interrupt at a time");
  first_signal = 0;
  for (const int number : kSignals) {
    if (!is_handler(number, SIG_IGN)) set_handler(number, on_signal);
  }
  watching_ = std::thread([this, descriptor] { watch(descriptor); });
}

Interrupt::~Interrupt() {
  for (const int number : kSignals) {
    if (is_handler(number, on_signal)) set_handler(number, SIG_DFL);
  }
  int none = 0;
  constexpr int kEnd = -1;
  if (first_signal.compare_exchange_strong(none, kEnd)) wake(wake_descriptor.load());
  watching_.join();
  ::close(wake_descriptor.exchange(-1));
}

// Sleeps until the first signal or the end.
void Interrupt::watch(int descriptor) {
  std::uint64_t count = 0;
  while (::read(descriptor, &count, sizeof count) < 0 && errno == EINTR) {
  }
  if (first_signal < 0) return;
  const std::lock_guard lock(mutex_);
  signal_ = first_signal;
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
    ::kill(::getpid(), signal_);  // on_signal() has given it its default action back
  }
}

Task<bool> Interrupt::sleep_until(Clock& clock, MonotonicTime when) const {
  OneShot<std::monostate> news;
  const std::stop_callback on_stop(token(), [news]() mutable { news.set({}); });
  static_cast<void>(co_await news.wait_until(clock, when));
  co_return !requested();
}

}  // namespace semper::cli
