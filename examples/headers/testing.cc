// The examples of include/semper/testing, as they stand in its headers.
// clang-format off
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "semper/block/block_device.h"
#include "semper/open_store.h"
#include "semper/testing/calendar_clock.h"
#include "semper/testing/child_process.h"
#include "semper/testing/faulty_backend.h"
#include "semper/testing/free_port.h"
#include "semper/testing/harness.h"
#include "semper/testing/harness_report.h"
#include "semper/testing/interruption.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_clock.h"
#include "semper/testing/simulated_disk.h"
#include "semper/testing/simulated_run.h"
#include "semper/testing/store_conformance.h"
#include "semper/testing/temporary_folder.h"

using namespace std::chrono_literals;
using namespace semper;
using namespace semper::testing;

void calendars() {
  SimulatedClock time;
  CalendarClock here(time), there(time, 3h);     // there it is three hours later
  there.jump(-24h);                              // an administrator corrects it
}

void take_lock(const std::string& path);
SEMPER_CHILD(keeps_the_lock) {                        // a test that only a child runs
  take_lock(child_argument());
  say("taken");
  hear();                                             // until the parent speaks, or ends
}
TEST(Locks, are_kept) {
  const std::string path = "lock";
  ChildProcess child("keeps_the_lock", path);           // in the parent's test
  ASSERT_EQ(child.read_line(), "taken");
  child.kill_hard();
}

void faults(std::shared_ptr<Backend> memory, Env env, SimulatedClock& clock, SeededRandom& random) {
  auto faulty = std::make_shared<FaultyBackend>(memory, Env{&clock, &random},
                                                StoreFaults{.unknown_applied = 0.05});
  Store store(faulty, env);
  faulty->script({CommitFault::unknown_late});       // this one for certain, at the next commit
}

void ports() {
  const std::uint16_t port = semper::testing::free_port();
}

struct Account {
  struct State { std::int64_t balance = 0; };
  struct Open { std::int64_t with = 0; using Reply = std::int64_t; };
  struct Transfer { std::string to; std::int64_t amount = 0; using Reply = std::int64_t; };
  using Messages = semper::Messages<Open, Transfer>;
  semper::Result<State> init(const semper::EntityId&) { return State{}; }
  semper::Reply<std::int64_t> handle_call(const Open& m, State& s, semper::Context&) {
    return s.balance += m.with;
  }
  semper::Reply<std::int64_t> handle_call(const Transfer& m, State& s, semper::Context&) {
    return s.balance -= m.amount;
  }
};
TEST(Harnesses, serve) {
  Harness harness;
  harness.serve<Account>();
  EXPECT_EQ(harness.call<Account::Open>(harness.ref<Account>("a"), 50).value(), 50);
}

TEST(Harnesses, explore) {
  Harness harness;
  harness.serve<Account>();
  harness.invariant<Account>([](const auto& account) -> semper::Status { return {}; });   // of one
  harness.check("the sum", [](Harness& h) -> semper::Status { return {}; });              // of all
  const auto report = harness.explore([&] {
    static_cast<void>(harness.call<Account::Transfer>(harness.ref<Account>("a"), "b", 5));
  });
  EXPECT_TRUE(report.passed()) << report;
}
void reported(Harness& harness, const std::function<void()>& scenario) {
  const semper::testing::HarnessReport report = harness.explore(scenario);
  EXPECT_TRUE(report.passed()) << report;         // "214 runs, 0 findings", or what went wrong
}

struct Publisher { Async<void> publish(std::string item); };
struct World {
  SimulatedClock clock;
  Publisher producer;
};
void interrupted() {
  const auto tried = at_each_await([&](std::size_t steps) {
    World world;                                            // a fresh one
    InterruptibleLoop loop(world.clock);
    auto cut = loop.interrupt(world.producer.publish("x"), steps, Interruption::cancel);
    return cut.interrupted;                                 // false: it was over before
  });
  EXPECT_GT(tried, 3);                                      // otherwise nothing was tried
}

void recover(BlockDevice& device);
void simulated(SimulatedClock& clock, SeededRandom& random) {
  SimulatedDisk disk({.size = 1 << 20}, Env{&clock, &random});
  auto device = disk.open();
  disk.power_cycle();                    // draws a fate for each sector that was not flushed
  auto again = disk.open();              // and recovery runs on what is left

  for (std::uint64_t kept = 0; kept < disk.crash_count(); ++kept)     // or all of them
    recover(*disk.crash_image(kept).open());
}
void timers() {
  SimulatedClock clock;
  clock.call_at(clock.now() + 5s, [] {});
  clock.advance(10s);                  // the callback runs here, while now() says 5 s
}

Async<std::shared_ptr<Backend>> open_mine(std::string url, Env env);
static const std::size_t cases = semper::testing::register_store_conformance({
    .name = "mine",
    .url = [](const semper::testing::ConformancePlace& place) {
      return "mine:" + place.folder + "/store";
    },
    .open = [](std::string url, semper::Env env) { return open_mine(std::move(url), env); },
    .processes = semper::testing::Processes::several});

void seeds() {
  SeededRandom random(test_seed());       // SEMPER_TEST_SEED=17 ./store_test replays seed 17
}

Async<int> ask(Clock& clock);
void clocks() {
  SimulatedClock clock;
  Result<int> answer = simulated_run(clock, ask(clock));      // Async<int> ask(Clock&);
}
void slept(SimulatedClock& clock) {
  auto slept = simulated_run(clock, sleep_for(clock, 1h));   // simulated_run.h: returns at once
}

void folders() {
  const semper::testing::TemporaryFolder folder;
  auto store = open_store("sqlite:" + folder.path("data.db"));
}
