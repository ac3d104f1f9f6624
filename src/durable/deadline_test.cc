// Calls with a deadline whose f runs: f ends before its caller goes on or is destroyed, whatever
// happens.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "durable/durable_test_support.h"
#include "semper/base/log.h"
#include "semper/durable/durable.h"
#include "semper/env/scheduler.h"
#include "semper/testing/simulated_clock.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using durable_test::never_broken;
using testing::SimulatedClock;

class Deadline : public ::testing::Test {
 protected:
  Deadline() {
    set_log_sink([](LogLevel, std::string_view, std::string_view) {});
  }
  ~Deadline() override { set_log_sink({}); }
};

Async<int> one() {
  co_return 1;
}
// What an f writes when it goes, into what its caller holds.
struct Note {
  explicit Note(std::string& where) : text(where) {}
  ~Note() { text += "f is gone"; }
  std::string& text;
};

Task<void> caller(Durable<int> durable, Clock& clock, bool& caller_is_gone, bool& in_order) {
  struct Gone {
    bool& is_gone;
    bool& in_order;
    const std::string& text;
    ~Gone() {
      is_gone = true;
      in_order = text == "f is gone";
    }
  };
  std::string text;
  const Gone gone{caller_is_gone, in_order, text};
  auto f = [&](int&) -> Async<void> {
    const Note note(text);
    co_return co_await sleep_for(clock, 1h);
  };
  static_cast<void>(co_await durable.with(f));
}

// Run it under the address sanitizer.
TEST_F(Deadline, a_loop_that_goes_destroys_f_before_its_caller) {
  for (const Access access : {Access::shared, Access::exclusive}) {
    for (const int threads : {1, 2}) {
      SimulatedClock clock;
      DurableOptions<int> options;
      options.env.clock = &clock;
      options.access = access;
      options.with = WithOptions{.deadline = 10s};
      auto durable = Durable<int>::create(one, never_broken, options);
      bool caller_is_gone = false, in_order = false;
      {
        asio::io_context loop(threads);  // with 2, f runs on a strand
        asio::co_spawn(loop, caller(durable, clock, caller_is_gone, in_order), asio::detached);
        loop.poll();
        EXPECT_EQ(durable.statistics().created, 1u);
      }
      EXPECT_TRUE(caller_is_gone);
      EXPECT_TRUE(in_order);
      clock.advance(1min);
      EXPECT_EQ(clock.pending_timers(), 0u);
      EXPECT_EQ(durable.statistics().intact, access == Access::shared);
      durable.close();
    }
  }
}

// For the thread sanitizer, and for an end that comes twice, or not.
TEST_F(Deadline, deadlines_and_ends_that_meet_leave_nothing_behind) {
  for (const Access access : {Access::shared, Access::exclusive}) {
    Scheduler scheduler({.threads = 3});
    DurableOptions<int> options;
    options.access = access;
    options.executor = scheduler.executor();
    options.retry = std::nullopt;
    auto durable = Durable<int>::create(one, never_broken, options);
    std::atomic<int> inside{0}, ended{0}, odd{0};
    auto call = [&](int i) -> Task<int> {
      const WithOptions soon{.deadline = std::chrono::microseconds(50 + i * 37 % 1000)};
      auto f = [&](int&) -> Async<void> {
        struct Inside {
          std::atomic<int>& count;
          explicit Inside(std::atomic<int>& of) : count(of) { ++count; }
          ~Inside() { --count; }
        } in(inside);
        co_return co_await sleep_for(system_clock(), std::chrono::microseconds(i * 53 % 1000));
      };
      auto done = co_await durable.with(soon, f);
      const bool expected = done || done.error().kind() == ErrorKind::timeout ||
                            done.error().kind() == ErrorKind::outcome_unknown;
      if (!expected) ++odd;
      ++ended;
      co_return 0;
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 200; ++i) scheduler.block_on(call(t * 200 + i));
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(ended, 800);
    EXPECT_EQ(inside, 0);
    EXPECT_EQ(odd, 0);
    scheduler.block_on(durable.join());
  }
}

}  // namespace
}  // namespace semper
