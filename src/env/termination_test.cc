// Real processes that are sent real signals.
#include "semper/env/termination.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <string>
#include <variant>
#include <vector>

#include "semper/env/one_shot.h"
#include "semper/env/scheduler.h"

namespace semper {
namespace {

constexpr int kEndedInOrder = 40;  // and the signal's number is added

// A child process that runs `program` and can say that it is ready, and wait for a word.
class Child {
 public:
  struct Line {
    int ready;
    int word;
    void say_ready() const { static_cast<void>(!::write(ready, "r", 1)); }
    void wait_for_word() const {
      char byte = 0;
      while (::read(word, &byte, 1) < 0 && errno == EINTR) {
      }
    }
  };

  explicit Child(const std::function<int(const Line&)>& program) {
    int to_us[2];
    int to_it[2];
    EXPECT_EQ(::pipe(to_us), 0);
    EXPECT_EQ(::pipe(to_it), 0);
    const pid_t parent = ::getpid();
    process_ = ::fork();
    if (process_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(125);
      ::close(to_it[1]);
      ::_exit(program(Line{to_us[1], to_it[0]}));
    }
    ::close(to_us[1]);
    ::close(to_it[0]);
    news_ = to_us[0];
    word_ = to_it[1];
  }
  ~Child() {
    if (process_ > 0) {
      ::kill(process_, SIGKILL);
      ::waitpid(process_, nullptr, 0);
    }
    ::close(news_);
    ::close(word_);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void wait_until_ready() const {
    char byte = 0;
    ASSERT_EQ(::read(news_, &byte, 1), 1) << "it ended before it was ready";
  }
  void send(int number) const { ASSERT_EQ(::kill(process_, number), 0); }
  void say_word() const { ASSERT_EQ(::write(word_, "w", 1), 1); }

  // "exit 55", "signal 15"
  std::string end() {
    int status = 0;
    EXPECT_EQ(::waitpid(process_, &status, 0), process_);
    process_ = 0;
    if (WIFEXITED(status)) return "exit " + std::to_string(WEXITSTATUS(status));
    return "signal " + std::to_string(WTERMSIG(status));
  }

 private:
  pid_t process_ = 0;
  int news_ = -1;
  int word_ = -1;
};

std::string in_order(int number) {
  return "exit " + std::to_string(kEndedInOrder + number);
}
std::string killed_by(int number) {
  return "signal " + std::to_string(number);
}

int code_of(const Result<int>& ended) {
  return ended ? kEndedInOrder + *ended : static_cast<int>(ended.error().kind());
}

int wait_in_order(const Child::Line& line, Hangup hangup = Hangup::is_left_alone) {
  Scheduler scheduler;
  auto end = termination(hangup);
  line.say_ready();
  return code_of(scheduler.block_on(std::move(end)));
}

TEST(Termination, sigint_and_sigterm_complete_the_wait_with_their_number) {
  for (const int number : {SIGINT, SIGTERM}) {
    Child child([](const Child::Line& line) { return wait_in_order(line); });
    child.wait_until_ready();
    child.send(number);
    EXPECT_EQ(child.end(), in_order(number));
  }
}

TEST(Termination, a_terminal_that_closes_asks_for_the_end_only_where_that_was_chosen) {
  Child daemon([](const Child::Line& line) { return wait_in_order(line); });
  daemon.wait_until_ready();
  daemon.send(SIGHUP);
  EXPECT_EQ(daemon.end(), killed_by(SIGHUP));
  Child tool([](const Child::Line& line) { return wait_in_order(line, Hangup::asks_for_the_end); });
  tool.wait_until_ready();
  tool.send(SIGHUP);
  EXPECT_EQ(tool.end(), in_order(SIGHUP));
}

TEST(Termination, a_signal_that_comes_between_the_call_and_the_co_await_is_kept) {
  Child child([](const Child::Line&) {
    auto end = termination();
    std::raise(SIGTERM);
    Scheduler scheduler;
    return code_of(scheduler.block_on(std::move(end)));
  });
  EXPECT_EQ(child.end(), in_order(SIGTERM));
}

TEST(Termination, the_second_signal_ends_a_process_that_does_not_end_by_itself) {
  Child child([](const Child::Line& line) {
    Scheduler scheduler;
    auto end = termination();
    const auto still_waits = termination();
    line.say_ready();
    const auto first = scheduler.block_on(std::move(end));
    line.say_ready();
    while (first) ::pause();
    return 1;
  });
  child.wait_until_ready();
  child.send(SIGINT);
  child.wait_until_ready();
  child.send(SIGTERM);
  EXPECT_EQ(child.end(), killed_by(SIGTERM));
}

TEST(Termination, every_waiter_is_told_and_so_is_one_that_comes_after_the_signal) {
  Child child([](const Child::Line& line) {
    Scheduler scheduler({.threads = 2});
    Scheduler other;
    auto one = termination();
    auto two = termination();
    auto three = termination();
    line.say_ready();
    if (code_of(scheduler.block_on(std::move(one))) != kEndedInOrder + SIGTERM) return 1;
    if (code_of(other.block_on(std::move(two))) != kEndedInOrder + SIGTERM) return 2;
    if (code_of(other.block_on(std::move(three))) != kEndedInOrder + SIGTERM) return 3;
    return code_of(scheduler.block_on(termination()));
  });
  child.wait_until_ready();
  child.send(SIGTERM);
  EXPECT_EQ(child.end(), in_order(SIGTERM));
}

void ignore_it(int) {}

TEST(Termination, a_handler_of_somebody_elses_is_refused_and_left_as_it_is) {
  Child child([](const Child::Line&) {
    std::signal(SIGTERM, ignore_it);
    Scheduler scheduler;
    const auto refused = scheduler.block_on(termination());
    if (refused || refused.error().kind() != ErrorKind::already_exists) return 1;
    if (refused.error().message().find("SIGTERM has a handler") == std::string::npos) return 2;
    if (std::signal(SIGTERM, SIG_DFL) != ignore_it) return 3;
    return std::signal(SIGINT, SIG_DFL) == SIG_DFL ? 0 : 4;
  });
  EXPECT_EQ(child.end(), "exit 0");
}

TEST(Termination, a_handler_that_is_installed_later_stays_when_the_wait_ends) {
  Child child([](const Child::Line&) {
    {
      const auto end = termination();
      std::signal(SIGTERM, ignore_it);
    }
    if (std::signal(SIGTERM, SIG_DFL) != ignore_it) return 1;
    return std::signal(SIGINT, SIG_DFL) == SIG_DFL ? 0 : 2;
  });
  EXPECT_EQ(child.end(), "exit 0");
}

TEST(Termination, a_signal_that_was_ignored_from_the_start_stays_ignored) {
  Child child([](const Child::Line& line) {
    std::signal(SIGINT, SIG_IGN);
    return wait_in_order(line);
  });
  child.wait_until_ready();
  child.send(SIGINT);
  child.send(SIGINT);
  child.send(SIGTERM);
  EXPECT_EQ(child.end(), in_order(SIGTERM));
}

TEST(Termination, without_a_wait_left_a_signal_does_what_it_does_by_default) {
  Child child([](const Child::Line& line) {
    static_cast<void>(Scheduler().block_on([]() -> Task<int> {
      const auto never_awaited = termination();
      co_return 0;
    }()));
    line.say_ready();
    while (true) ::pause();
    return 1;
  });
  child.wait_until_ready();
  child.send(SIGTERM);
  EXPECT_EQ(child.end(), killed_by(SIGTERM));
}

TEST(Termination, a_wait_that_was_cancelled_gives_up_its_place) {
  Child child([](const Child::Line& line) {
    Scheduler scheduler;
    asio::cancellation_signal cancel;
    OneShot<std::variant<std::monostate, Result<int>>> done;
    asio::co_spawn(scheduler.executor(), termination(),
                   asio::bind_cancellation_slot(
                       cancel.slot(), [done](std::exception_ptr, Result<int> ended) mutable {
                         done.set(std::variant<std::monostate, Result<int>>(std::move(ended)));
                       }));
    scheduler.block_on([](asio::cancellation_signal& signal) -> Task<void> {
      co_await yield_now();
      signal.emit(asio::cancellation_type::terminal);
    }(cancel));
    const auto ended = scheduler.block_on(done.wait());
    if (!ended || std::get<1>(*ended).has_value()) return 1;
    line.say_ready();
    while (true) ::pause();
    return 2;
  });
  child.wait_until_ready();
  child.send(SIGINT);
  EXPECT_EQ(child.end(), killed_by(SIGINT));
}

TEST(Termination, signals_that_every_thread_blocks_arrive_all_the_same) {
  Child child([](const Child::Line& line) {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    return wait_in_order(line);
  });
  child.wait_until_ready();
  child.send(SIGTERM);
  EXPECT_EQ(child.end(), in_order(SIGTERM));
}

TEST(Termination, a_forked_child_ends_by_the_signal_and_its_parent_goes_on) {
  Child parent([](const Child::Line& line) {
    Scheduler scheduler;
    auto end = termination();
    {
      Child child([](const Child::Line& ours) {
        ours.say_ready();
        while (true) ::pause();
        return 1;
      });
      child.wait_until_ready();
      child.send(SIGTERM);
      if (child.end() != killed_by(SIGTERM)) return 2;
    }
    line.say_ready();
    return code_of(scheduler.block_on(std::move(end)));
  });
  parent.wait_until_ready();
  parent.send(SIGINT);
  EXPECT_EQ(parent.end(), in_order(SIGINT));  // not by the child's SIGTERM
}

TEST(Termination, a_forked_child_waits_for_its_own_signal_also_after_its_parent_had_one) {
  Child parent([](const Child::Line&) {
    auto end = termination();
    std::raise(SIGINT);
    if (code_of(Scheduler().block_on(std::move(end))) != kEndedInOrder + SIGINT) return 1;
    Child child([](const Child::Line& ours) { return wait_in_order(ours); });
    child.wait_until_ready();
    child.send(SIGTERM);
    return child.end() == in_order(SIGTERM) ? 0 : 2;
  });
  EXPECT_EQ(parent.end(), "exit 0");
}

TEST(Termination, waits_past_the_bound_are_refused) {
  Child child([](const Child::Line&) {
    std::vector<Async<int>> waits;
    for (std::size_t i = 0; i < kTerminationWaiters; ++i) waits.push_back(termination());
    const auto refused = Scheduler().block_on(termination());
    if (refused || refused.error().kind() != ErrorKind::exhausted) return 1;
    waits.pop_back();
    auto end = termination();
    std::raise(SIGTERM);
    return code_of(Scheduler().block_on(std::move(end)));
  });
  EXPECT_EQ(child.end(), in_order(SIGTERM));
}

}  // namespace
}  // namespace semper
