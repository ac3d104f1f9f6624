#include "interrupt.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <variant>

#include "semper/base/assert.h"
#include "semper/env/one_shot.h"

namespace semper::cli {
namespace {

// Written to the eventfd: why the waiting thread should wake. An eventfd adds up what is written.
constexpr std::uint64_t kSignalled = 1;
constexpr std::uint64_t kEnd = 1000;

std::atomic<int> wake_descriptor{-1};

void on_signal(int) {
  const int saved = errno;
  const std::uint64_t why = kSignalled;
  static_cast<void>(!::write(wake_descriptor.load(), &why, sizeof why));
  errno = saved;
}

void handle(int signal_number, void (*handler)(int), int flags) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigaction(signal_number, &action, nullptr);
}

}  // namespace

Interrupt::Interrupt() {
  const int descriptor = ::eventfd(0, EFD_CLOEXEC);
  SEMPER_ASSERT(descriptor >= 0, "the system gives no eventfd");
  SEMPER_ASSERT(wake_descriptor.exchange(descriptor) < 0, "one Interrupt at a time");
  waiting_ = std::thread([this, descriptor] {
    std::uint64_t why = 0;
    while (why < kEnd) {
      if (::read(descriptor, &why, sizeof why) < 0) why = 0;
      if (why > 0 && why != kEnd) source_.request_stop();
    }
  });
  for (const int number : {SIGINT, SIGTERM}) handle(number, on_signal, SA_RESTART | SA_RESETHAND);
}

Interrupt::~Interrupt() {
  for (const int number : {SIGINT, SIGTERM}) handle(number, SIG_DFL, 0);
  static_cast<void>(!::write(wake_descriptor.load(), &kEnd, sizeof kEnd));
  waiting_.join();
  ::close(wake_descriptor.exchange(-1));
}

Task<bool> Interrupt::sleep_until(Clock& clock, MonotonicTime when) {
  OneShot<std::monostate> news;
  const std::stop_callback on_stop(token(), [news]() mutable { news.set({}); });
  static_cast<void>(co_await news.wait_until(clock, when));
  co_return !requested();
}

}  // namespace semper::cli
