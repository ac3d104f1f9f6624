// Memory: what a host keeps does not grow with the time that passes, nor with what it has done.
#include <malloc.h>

#include <cstdlib>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE_ON(Days, worlds_in(TimeKind::simulated));

// What a process may hold more on any later day than after its first: less than two bytes for each
// second.
constexpr std::int64_t kGrowthBytesMaximum = 256 << 10;

constexpr int kTouchedEntities = 64;
constexpr int kRoundsADay = 250;

// SEMPER_TEST_DAYS=7 makes them weeks.
int days() {
  const char* given = std::getenv("SEMPER_TEST_DAYS");
  return given == nullptr ? 3 : std::max(2, std::atoi(given));
}

std::int64_t bytes_in_use() {
  const auto heap = mallinfo2();
  return static_cast<std::int64_t>(heap.uordblks + heap.hblkhd);
}

// `work` does what happens in a day, which then passes.
Task<void> live_through_days(World& world, std::function<Task<void>(int day)> work) {
  world.allow(days() * 25h);
  const auto start = world.clock().now();
  std::int64_t after_first_day = 0;
  std::int64_t now = 0;
  for (int day = 1; day <= days(); ++day) {
    co_await work(day);
    must(co_await sleep_until(world.clock(), start + day * 24h));
    now = bytes_in_use();
    if (day == 1) after_first_day = now;
    if (now - after_first_day > kGrowthBytesMaximum) {
      throw CaseFailure("on day " + std::to_string(day) + " " +
                        std::to_string(now - after_first_day) +
                        " bytes more are in use than after the first");
    }
  }
}

SERVER_TEST(Days, an_idle_host_keeps_nothing_of_the_time_that_passes) {
  if (!world.is_steady()) co_return;
  co_await world.serve<Counter>(std::make_shared<Counter>(), HostOptions());
  auto idle = [&](int) -> Task<void> { co_return; };
  co_await live_through_days(world, idle);
}

// Takes the lock with each message.
struct Locker {
  using State = std::int64_t;
  struct Add {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add&, State&, Context&) { return lock(); }
  Task<Reply<std::int64_t>> handle_locked(const Add&, State& s, LockedContext& context) {
    static_cast<void>(co_await sleep_for(context.clock(), 10s));
    co_return ++s;
  }
};

// One message of each sort, from inside and outside, and a caller that gives up.
Task<void> work_a_round(World& world, Process& server, int round) {
  const std::string id = std::to_string(round % kTouchedEntities);
  must(co_await world.ref<Counter>(id).cast(Counter::Add{1}));
  must(co_await world.ref<Counter>(id).call(Counter::Add{1}));
  must(co_await server.ref<Counter>(id).call(Counter::Add{1}));
  must(co_await server.ref<Counter>(id).cast(Counter::Add{1}));
  if (round % 50 != 0) co_return;
  const CallOptions patient{1h};
  must(co_await world.ref<Locker>(id).call(Locker::Add{}, patient));
  const CallOptions hasty{1s};
  EXPECT_EQ(must_fail(co_await world.ref<Locker>(id).call(Locker::Add{}, hasty)).kind(),
            ErrorKind::timeout);
}

SERVER_TEST(Days, a_busy_host_keeps_nothing_of_what_it_has_done) {
  if (!world.is_steady()) co_return;
  auto& server = *co_await world.serve<Counter>(std::make_shared<Counter>(), HostOptions());
  server.host().serve<Locker>();
  auto busy = [&](int) -> Task<void> {
    // Another host comes, works and dies.
    auto& guest = *co_await world.serve<Counter>(std::make_shared<Counter>(), HostOptions());
    for (int round = 0; round < kRoundsADay; ++round) {
      if (round == kRoundsADay / 2) guest.kill();
      co_await work_a_round(world, server, round);
      must(co_await sleep_for(world.clock(), 10s));
    }
  };
  co_await live_through_days(world, busy);
}

}  // namespace
}  // namespace semper::testing
