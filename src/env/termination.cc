#include "semper/env/termination.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "semper/env/fork.h"
#include "semper/env/one_shot.h"

namespace semper {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

// What the handler knows. It changes only these.
constinit std::atomic<pid_t> handled_process{0};
constinit std::atomic<int> wake_descriptor{-1};
constinit std::atomic<int> first_signal{0};

struct sigaction action_of(int number) {
  struct sigaction action {};
  static_cast<void>(::sigaction(number, nullptr, &action));
  return action;
}

void set_handler(int number, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  static_cast<void>(::sigaction(number, &action, nullptr));
}

void on_signal(int number);

bool is_ours(int number) {
  const auto action = action_of(number);
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == on_signal;
}

void give_back_all() {
  for (const int number : kSignals) {
    if (is_ours(number)) set_handler(number, SIG_DFL);
  }
}

// A signal handler: async-signal-safe. The first signal is passed on; any later one does what it
// does by default.
void on_signal(int number) {
  const int saved = errno;
  give_back_all();
  if (::getpid() != handled_process.load()) {
    // A child that has just been forked. Pending until this handler has returned.
    static_cast<void>(::kill(::getpid(), number));
  } else if (int none = 0; first_signal.compare_exchange_strong(none, number)) {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_descriptor.load(), &one, sizeof one));
  }
  errno = saved;
}

std::string name_of(int number) {
  if (number == SIGINT) return "SIGINT";
  return number == SIGTERM ? "SIGTERM" : "SIGHUP";
}

std::vector<int> signals_of(Hangup hangup) {
  std::vector<int> signals = {SIGINT, SIGTERM};
  if (hangup == Hangup::asks_for_the_end) signals.push_back(SIGHUP);
  return signals;
}

// The waits of this process. Never destroyed: a signal may come after main() has returned.
class Waits {
 public:
  static Waits& of_this_process();

  Status add(const OneShot<int>& news, const void* key, Hangup hangup) {
    std::lock_guard lock(mutex_);
    if (first_signal == 0) {
      SEMPER_TRY_STATUS(has_room());
      SEMPER_TRY_STATUS(start());
      SEMPER_TRY_STATUS(install(signals_of(hangup)));
    }
    waiting_.push_back({key, news});
    // Also where it has come since: the thread may have told the others already.
    if (const int number = first_signal; number != 0) waiting_.back().news.set(number);
    return {};
  }

  void remove(const void* key) {
    std::lock_guard lock(mutex_);
    std::erase_if(waiting_, [key](const Wait& wait) { return wait.key == key; });
    if (waiting_.empty()) give_back_all();
  }

  // In a child: nothing of the parent's goes on, and nothing of it is touched by its next signal.
  static void forget_parent() {
    if (handled_process.exchange(0) == 0) return;
    give_back_all();
    first_signal = 0;
    ::close(wake_descriptor.exchange(-1));
    forgotten_ = current_.exchange(nullptr);
  }

 private:
  struct Wait {
    const void* key;
    OneShot<int> news;
  };

  Status has_room() const {
    if (waiting_.size() < kTerminationWaiters) return {};
    return fail(ErrorKind::exhausted, Limit{"kTerminationWaiters", kTerminationWaiters},
                std::to_string(kTerminationWaiters) + " calls of termination() wait already");
  }

  // The thread that takes the news, once in a process.
  Status start() {
    if (handled_process == ::getpid()) return {};
    const int descriptor = ::eventfd(0, EFD_CLOEXEC);
    if (descriptor < 0) return fail(error_from_errno(errno, "termination() needs an eventfd"));
    wake_descriptor = descriptor;
    try {
      std::thread([this, descriptor] { tell(descriptor); }).detach();
    } catch (const std::system_error& caught) {
      ::close(wake_descriptor.exchange(-1));
      return fail(ErrorKind::exhausted,
                  std::string("termination() cannot start a thread: ") + caught.what());
    }
    handled_process = ::getpid();
    return {};
  }

  static Status install(const std::vector<int>& signals) {
    for (const int number : signals) {
      const auto action = action_of(number);
      const bool is_free = (action.sa_flags & SA_SIGINFO) == 0 &&
                           (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN);
      if (is_free || is_ours(number)) continue;
      return fail(ErrorKind::already_exists,
                  name_of(number) +
                      " has a handler that is not Semper's: have that one end the program, or call "
                      "termination() before it is installed");
    }
    for (const int number : signals) {
      if (action_of(number).sa_handler == SIG_DFL) set_handler(number, on_signal);
    }
    return {};
  }

  // Sleeps until the first signal.
  void tell(int descriptor) {
    static_cast<void>(::pthread_setname_np(::pthread_self(), "semper-signals"));
    // Not before the handlers are there: a signal that has been kept back would end the process.
    { const std::lock_guard until_installed(mutex_); }
    sigset_t others;
    sigfillset(&others);
    for (const int number : kSignals) sigdelset(&others, number);
    static_cast<void>(::pthread_sigmask(SIG_SETMASK, &others, nullptr));
    std::uint64_t count = 0;
    while (::read(descriptor, &count, sizeof count) < 0 && errno == EINTR) {
    }
    std::vector<Wait> told;
    {
      std::lock_guard lock(mutex_);
      told = waiting_;
    }
    for (auto& wait : told) wait.news.set(first_signal);
  }

  static std::atomic<Waits*> current_;
  static std::atomic<Waits*> forgotten_;  // so that no leak is seen in it

  std::mutex mutex_;
  std::vector<Wait> waiting_;
};

constinit std::atomic<Waits*> Waits::current_{nullptr};
constinit std::atomic<Waits*> Waits::forgotten_{nullptr};

Waits& Waits::of_this_process() {
  [[maybe_unused]] static const int registered =
      ::pthread_atfork(nullptr, nullptr, Waits::forget_parent);
  Waits* current = current_;
  if (current != nullptr) return *current;
  auto made = std::make_unique<Waits>();
  if (current_.compare_exchange_strong(current, made.get())) return *made.release();
  return *current;
}

// A place among the waits, from the call of termination() to the end of its coroutine.
class Place {
 public:
  Place() = default;
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    if (waits_ != nullptr && !fork_.is_foreign()) waits_->remove(this);
  }

  Status take(Hangup hangup) {
    auto& waits = Waits::of_this_process();
    SEMPER_TRY_STATUS(waits.add(news_, this, hangup));
    waits_ = &waits;
    return {};
  }

  Async<int> wait() { return news_.wait(); }

 private:
  const ForkGuard fork_{};
  OneShot<int> news_;
  Waits* waits_ = nullptr;
};

Async<int> wait_at(std::unique_ptr<Place> place, Status taken) {
  if (!taken) co_return fail(taken.error());
  co_return co_await place->wait();
}

}  // namespace

Async<int> termination(Hangup hangup) {
  auto place = std::make_unique<Place>();
  auto taken = place->take(hangup);
  return wait_at(std::move(place), std::move(taken));
}

}  // namespace semper
