// Every public coroutine of Ref and Host, cut off at each of its awaits: cancelled, or with its
// loop destroyed. Whatever was cut off took effect wholly or not at all, and everything goes on.
#include "semper/testing/interruption.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "semper/env/cancellation.h"
#include "semper/server/atomically.h"
#include "semper/server/cast_once.h"
#include "semper/server/inspect.h"
#include "semper/server/ref.h"
#include "server/loops_test_support.h"

namespace semper {
namespace {

using testing::at_each_await;
using testing::Interrupted;
using testing::InterruptibleLoop;
using testing::Interruption;
using testing::LoopsWorld;
using namespace std::chrono_literals;

struct InterruptedTally {
  using State = std::int64_t;
  struct Add {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  struct AddLocked {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, AddLocked>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add& m, State& s, Context&) { return s += m.by; }
  void handle_cast(const Add& m, State& s, Context&) { s += m.by; }
  Reply<std::int64_t> handle_call(const AddLocked&, State&, Context&) { return lock(); }
  Reply<std::int64_t> handle_locked(const AddLocked&, State& s, LockedContext&) { return ++s; }
};

// A host on a loop of its own, which runs whenever a millisecond has passed.
class World : public LoopsWorld {
 public:
  World() : LoopsWorld(Pace::slow), loop(clock_) {
    pump();
    make_host();
    host->serve<InterruptedTally>();
  }
  ~World() {
    over_ = true;
    if (timer_) clock_.cancel(*timer_);
  }

  Ref<InterruptedTally> local() { return ref<InterruptedTally>(*store, "t"); }
  // Of a process without a host.
  Ref<InterruptedTally> remote() {
    if (!elsewhere_) elsewhere_.emplace(gate, env_);
    return ref<InterruptedTally>(*elsewhere_, "t");
  }

  InterruptibleLoop loop;

 private:
  void pump() {
    host_loop.restart();
    host_loop.poll();
    if (!over_) timer_ = clock_.call_at(clock_.after(1ms), [this] { pump(); });
  }

  bool over_ = false;
  std::optional<Clock::TimerId> timer_;
  std::optional<Store> elsewhere_;
};

struct InterruptedCase {
  const char* name;
  std::function<Async<std::int64_t>(World&)> operation;
  // What it adds to the tally, where it takes effect.
  std::int64_t adds = 0;
  bool empties = false;  // may set the tally to nothing
};

Async<std::int64_t> zero(Async<void> operation) {
  SEMPER_CO_TRY_STATUS(co_await std::move(operation));
  co_return 0;
}
Async<std::int64_t> count(Async<std::uint64_t> operation) {
  SEMPER_CO_TRY(const auto number, co_await std::move(operation));
  co_return static_cast<std::int64_t>(number);
}
Async<std::int64_t> lines(Tenant tenant) {
  SEMPER_CO_TRY(const auto hosts, co_await list_hosts(tenant));
  const EntityId id{"semper::InterruptedTally", "t"};
  SEMPER_CO_TRY(const auto view, co_await inspect(tenant, id));
  co_return static_cast<std::int64_t>(hosts.size() + view.queue_length);
}
Async<std::int64_t> batch(Ref<InterruptedTally> to) {
  auto three = semper::Batch<InterruptedTally>();
  for (int i = 0; i < 3; ++i) three.add(InterruptedTally::Add{1});
  return zero(to.cast(std::move(three)));
}
Async<std::int64_t> once(World& world) {
  std::vector<OnceCast> casts;
  const auto to = world.remote();
  casts.push_back({to.entity(), {"Add", encode(InterruptedTally::Add{1})}, 1});
  return zero(cast_once(to.untyped().tenant(), "source", std::move(casts)));
}

Async<std::int64_t> both(Ref<InterruptedTally> to) {
  const auto other = ref<InterruptedTally>(to.untyped().tenant(), "other");
  const auto add = [other](Atomic& tx, std::int64_t& here,
                           std::int64_t& there) -> Async<std::int64_t> {
    ++there;
    tx.cast(other, InterruptedTally::Add{1});
    co_return ++here;
  };
  return atomically(to.untyped().tenant(), std::tuple(to, other), add);
}

const std::vector<InterruptedCase> kInterruptedCases = {
    {"local_call", [](World& w) { return w.local().call(InterruptedTally::Add{1}); }, 1},
    {"remote_call", [](World& w) { return w.remote().call(InterruptedTally::Add{1}); }, 1},
    {"local_cast", [](World& w) { return zero(w.local().cast(InterruptedTally::Add{1})); }, 1},
    {"remote_cast", [](World& w) { return zero(w.remote().cast(InterruptedTally::Add{1})); }, 1},
    {"local_batch", [](World& w) { return batch(w.local()); }, 3},
    {"remote_batch", [](World& w) { return batch(w.remote()); }, 3},
    {"local_locked", [](World& w) { return w.local().call(InterruptedTally::AddLocked{}); }, 1},
    {"remote_locked", [](World& w) { return w.remote().call(InterruptedTally::AddLocked{}); }, 1},
    {"priority_call", [](World& w) { return w.local().priority_call(InterruptedTally::Add{1}); },
     1},
    {"priority_cast",
     [](World& w) { return zero(w.local().priority_cast(InterruptedTally::Add{1})); }, 1},
    {"kill", [](World& w) { return zero(w.remote().kill()); }, 0, true},
    {"reset", [](World& w) { return zero(w.remote().reset()); }, 0, true},
    {"unlock", [](World& w) { return zero(w.remote().untyped().unlock()); }, 0},
    {"queue_length", [](World& w) { return count(w.remote().queue_length()); }, 0},
    {"inspect", [](World& w) { return run_through(lines(w.remote().untyped().tenant())); }, 0},
    {"local_atomically", [](World& w) { return both(w.local()); }, 1},
    {"remote_atomically", [](World& w) { return both(w.remote()); }, 1},
    {"cast_once", [](World& w) { return once(w); }, 1},
    {"start", [](World& w) { return zero(w.host->start()); }, 0},
    {"stop", [](World& w) { return zero(w.host->stop()); }, 0},
};

class Interruptions : public ::testing::TestWithParam<std::tuple<InterruptedCase, Interruption>> {};

TEST_P(Interruptions, at_any_await_leave_everything_in_order) {
  const auto& [tried, how] = GetParam();
  const bool stops = std::string(tried.name) == "stop";
  const auto times = at_each_await([&, tried = tried, how = how](std::size_t steps) {
    World world;
    InterruptibleLoop& loop = world.loop;
    const CallOptions patient{60s};
    if (std::string(tried.name) != "start") {
      EXPECT_TRUE(loop.run(world.host->start()));
    }
    EXPECT_EQ(loop.run(world.local().call(InterruptedTally::Add{1}, patient)), 1);
    const auto cut = loop.interrupt(tried.operation(world), steps, how);
    if (cut.result && !*cut.result && cut.interrupted) {
      const ErrorKind kind = cut.result->error().kind();
      const bool is_told = kind == ErrorKind::cancelled || kind == ErrorKind::outcome_unknown ||
                           kind == ErrorKind::not_found || kind == ErrorKind::timeout;
      EXPECT_TRUE(is_told) << cut.result->error().to_string();
    }
    if (stops) {
      EXPECT_TRUE(loop.run(world.host->stop()));
      world.make_host();
      world.host->serve<InterruptedTally>();
    }
    EXPECT_TRUE(loop.run(world.host->start()));
    // Wholly or not at all, once; and others come through.
    loop.pass(15s);
    const auto value = loop.run(world.remote().call(InterruptedTally::Add{1}, patient));
    EXPECT_TRUE(value) << value.error().to_string();
    if (value) {
      const bool none = *value == 2 || (tried.empties && *value == 1);
      EXPECT_TRUE(none || *value == 2 + tried.adds) << *value;
      const bool is_done = cut.result && cut.result->has_value();
      const bool is_refused = cut.interrupted && cut.result && !*cut.result &&
                              cut.result->error().kind() == ErrorKind::cancelled;
      if (is_refused && !tried.empties) {
        EXPECT_EQ(*value, 2) << "nothing was done, it said: " << cut.result->error().to_string();
      }
      if (is_done && !tried.empties) {
        EXPECT_EQ(*value, 2 + tried.adds);
      }
      const auto local = loop.run(world.local().call(InterruptedTally::Add{1}, patient));
      EXPECT_EQ(local, *value + 1);
    }
    EXPECT_TRUE(loop.run(world.host->stop()));
    loop.pass(15s);
    const auto residue = loop.run(count_outstanding(*world.store));
    EXPECT_TRUE(residue && residue->sessions <= 1 && residue->locks == 0 && residue->hosts == 0);
    return cut.interrupted && !HasFailure();
  });
  EXPECT_GT(times, 1u) << "nothing was tried";
}

std::string name_of(
    const ::testing::TestParamInfo<std::tuple<InterruptedCase, Interruption>>& tried) {
  const auto& [operation, how] = tried.param;
  return std::string(operation.name) +
         (how == Interruption::cancel ? "_cancelled" : "_with_its_loop_destroyed");
}

INSTANTIATE_TEST_SUITE_P(Operations, Interruptions,
                         ::testing::Combine(::testing::ValuesIn(kInterruptedCases),
                                            ::testing::Values(Interruption::cancel,
                                                              Interruption::destroy_loop)),
                         name_of);

}  // namespace
}  // namespace semper
