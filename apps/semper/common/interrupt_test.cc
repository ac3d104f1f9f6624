// Signals that come early, late, twice, or to a process that was told to ignore them.
#include "common/interrupt.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <csignal>

namespace semper::cli {
namespace {

// Waits for a stop that is on its way.
void wait_for_stop(const Interrupt& interrupt) {
  while (!interrupt.requested()) ::sched_yield();
}

// A process is asked to end once, so each of these is one of its own.
void keep_until_decided(int number) {
  Interrupt interrupt;
  std::raise(number);
  if (interrupt.requested()) ::_exit(1);
  interrupt.decide(OnSignal::requests_stop);
  wait_for_stop(interrupt);
  ::_exit(0);
}

TEST(InterruptDeathTest, keeps_a_signal_that_comes_before_the_command_has_decided) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    EXPECT_EXIT(keep_until_decided(number), ::testing::ExitedWithCode(0), "");
  }
}

void tell_who_listens() {
  Interrupt interrupt;
  interrupt.decide(OnSignal::requests_stop);
  if (interrupt.requested()) ::_exit(1);
  std::raise(SIGTERM);
  wait_for_stop(interrupt);
  ::_exit(0);
}

TEST(InterruptDeathTest, tells_a_command_that_listens) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(tell_who_listens(), ::testing::ExitedWithCode(0), "");
}

// In a process of its own: what `steps` raise ends it, or it exits with 0.
void run_and_exit(OnSignal on_signal, std::initializer_list<int> signals) {
  Interrupt interrupt;
  for (const int number : signals) std::raise(number);
  interrupt.decide(on_signal);
  if (on_signal == OnSignal::requests_stop) {
    ::_exit(0);
  }
  while (true) ::pause();
}

TEST(InterruptDeathTest, a_command_that_does_not_listen_ends_as_by_the_signal) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(run_and_exit(OnSignal::ends_process, {SIGTERM}), ::testing::KilledBySignal(SIGTERM),
              "");
  EXPECT_EXIT(run_and_exit(OnSignal::ends_process, {SIGHUP}), ::testing::KilledBySignal(SIGHUP),
              "");
}

TEST(InterruptDeathTest, the_second_signal_ends_the_process) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(run_and_exit(OnSignal::requests_stop, {SIGINT, SIGTERM}),
              ::testing::KilledBySignal(SIGTERM), "");
  EXPECT_EXIT(run_and_exit(OnSignal::requests_stop, {SIGTERM}), ::testing::ExitedWithCode(0), "");
}

TEST(InterruptDeathTest, a_signal_that_was_ignored_from_the_start_stays_ignored) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto under_nohup = [] {
    std::signal(SIGHUP, SIG_IGN);
    run_and_exit(OnSignal::requests_stop, {SIGHUP, SIGHUP});
  };
  EXPECT_EXIT(under_nohup(), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace semper::cli
