// A caller's loop is only borrowed: whatever becomes of it, and whenever, the work of others goes
// on.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/format/keys.h"
#include "server/loops_test_support.h"

namespace semper {
namespace {

using testing::Loop;
using testing::LoopsWorld;
using namespace std::chrono_literals;

// Within this much of simulated time everybody else is served: three times kLoopPatience for each
// of a runner and a publisher that do not run, a lock's lease, and the store's delays.
constexpr Duration kBound = 20s;

struct BorrowedTally {
  using State = std::int64_t;
  struct Add {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  struct AddLocked {
    using Reply = std::int64_t;
  };
  struct AddAndAct {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, AddLocked, AddAndAct>;

  std::function<void()> in_callback = [] {};
  std::function<void()> in_action = [] {};

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add& m, State& s, Context&) {
    in_callback();
    return s += m.by;
  }
  void handle_cast(const Add& m, State& s, Context&) {
    in_callback();
    s += m.by;
  }
  Reply<std::int64_t> handle_call(const AddLocked&, State&, Context&) { return lock(); }
  Reply<std::int64_t> handle_locked(const AddLocked&, State& s, LockedContext&) { return ++s; }
  Reply<std::int64_t> handle_call(const AddAndAct&, State& s, Context&) {
    return Reply<std::int64_t>(++s).then([this](const State&) { in_action(); });
  }
};

// What came of an operation; nothing while it is under way.
using Settled = std::shared_ptr<std::optional<Status>>;
using Operation = std::function<Async<void>(Ref<BorrowedTally>)>;

Status without_value(const Result<std::int64_t>& result) {
  if (!result) return fail(result.error());
  return {};
}

Settled start(Loop& loop, Ref<BorrowedTally> tally, Operation operation) {
  auto outcome = std::make_shared<std::optional<Status>>();
  asio::co_spawn(
      loop,
      [](Ref<BorrowedTally> to, Operation run, Settled out) -> Task<void> {
        const Status done = co_await run(std::move(to));
        out->emplace(done);
      }(std::move(tally), std::move(operation), outcome),
      asio::detached);
  return outcome;
}

Async<void> add(Ref<BorrowedTally> to) {
  const CallOptions patient{kForever};
  co_return without_value(co_await to.call(BorrowedTally::Add{1}, patient));
}
Async<void> add_locked(Ref<BorrowedTally> to) {
  const CallOptions patient{kForever};
  co_return without_value(co_await to.call(BorrowedTally::AddLocked{}, patient));
}
Async<void> add_and_act(Ref<BorrowedTally> to) {
  const CallOptions patient{kForever};
  co_return without_value(co_await to.call(BorrowedTally::AddAndAct{}, patient));
}
Async<void> add_at_once(Ref<BorrowedTally> to) {
  const CallOptions patient{kForever};
  co_return without_value(co_await to.priority_call(BorrowedTally::Add{1}, patient));
}
Async<void> cast_twice(Ref<BorrowedTally> to) {
  SEMPER_CO_TRY_STATUS(co_await to.cast(BorrowedTally::Add{1}));
  co_return co_await to.cast(BorrowedTally::Add{1});
}

enum class BorrowedEnd : std::uint8_t { destroyed, never_run_again, run_again_later };

struct BorrowedCase {
  const char* name;
  Operation operation;
};
void PrintTo(const BorrowedCase& tried, std::ostream* out) {
  *out << tried.name;
}

class BorrowedLoops : public ::testing::TestWithParam<std::tuple<BorrowedCase, BorrowedEnd>> {
 protected:
  // A has run so many handlers of its operation when its loop ends. False: the operation had ended.
  bool round(std::size_t handlers) {
    const auto& [tried, end] = GetParam();
    LoopsWorld world(LoopsWorld::Pace::slow);
    world.make_host();
    world.host->serve<BorrowedTally>();
    auto started = std::make_shared<std::optional<Status>>();
    asio::co_spawn(
        world.host_loop,
        [](Host* host, Settled out) -> Task<void> { out->emplace(co_await host->start()); }(
                                        world.host.get(), started),
        asio::detached);
    EXPECT_TRUE(world.run_until([&] { return started->has_value(); }, kBound, {&world.host_loop}));
    const auto local = ref<BorrowedTally>(*world.store, "t");
    const auto remote = ref<BorrowedTally>(Store(world.gate, world.env_), "t");

    const auto of_a = start(*world.a, local, tried.operation);
    const auto also_of_a = start(*world.a, local, add);
    std::vector<Settled> beside;
    const bool interrupted = world.run_a(handlers, [&] {
      // They meet whatever A is at.
      if (beside.empty()) {
        for (const auto& [tally, operation] :
             {std::pair(local, Operation(add)), std::pair(local, Operation(add_at_once)),
              std::pair(remote, Operation(add)), std::pair(local, Operation(add_locked))}) {
          beside.push_back(start(world.b, tally, operation));
        }
      }
      return of_a->has_value() && also_of_a->has_value();
    });
    if (!interrupted) return false;
    if (end == BorrowedEnd::destroyed) world.a.reset();

    const std::vector<Loop*> loops{&world.b, &world.host_loop};
    std::vector<Settled> after = {start(world.b, local, add), start(world.b, remote, add),
                                  start(world.b, local, add_at_once),
                                  start(world.b, local, add_locked)};
    const auto all = [&] {
      for (const auto& outcome : beside) {
        if (!*outcome) return false;
      }
      for (const auto& outcome : after) {
        if (!*outcome) return false;
      }
      return true;
    };
    EXPECT_TRUE(world.run_until(all, kBound, loops)) << "somebody hangs";
    for (const auto& outcome : after) {
      if (*outcome && !**outcome) ADD_FAILURE() << (*outcome)->error().to_string();
    }
    if (end == BorrowedEnd::run_again_later) {
      const auto ended = [&] { return of_a->has_value() && also_of_a->has_value(); };
      EXPECT_TRUE(world.run_until(ended, kBound, {world.a.get(), &world.b, &world.host_loop}))
          << "a caller that goes on later gets an answer";
      const auto once_more = start(*world.a, local, add);
      EXPECT_TRUE(world.run_until([&] { return once_more->has_value(); }, kBound,
                                  {world.a.get(), &world.b, &world.host_loop}));
      EXPECT_TRUE(*once_more && **once_more);
    }
    // Nor does it keep the host from ending.
    auto stopped = std::make_shared<std::optional<Status>>();
    asio::co_spawn(
        world.b,
        [](Host* host, Settled out) -> Task<void> { out->emplace(co_await host->stop()); }(
                                        world.host.get(), stopped),
        asio::detached);
    EXPECT_TRUE(world.run_until([&] { return stopped->has_value(); }, kBound, loops))
        << "the host does not stop";
    return true;
  }
};

TEST_P(BorrowedLoops, keep_nobody_else_whenever_they_end) {
  std::size_t handlers = 0;
  while (round(handlers)) {
    ++handlers;
    if (HasFailure()) FAIL() << "after " << handlers - 1 << " handlers of A";
  }
  EXPECT_GT(handlers, 3u) << "nothing was tried";
}

std::string borrowed_name_of(
    const ::testing::TestParamInfo<std::tuple<BorrowedCase, BorrowedEnd>>& tried) {
  constexpr const char* kEndNames[] = {"destroyed", "never_run_again", "run_again_later"};
  const auto& [operation, end] = tried.param;
  return std::string(operation.name) + "_" + kEndNames[static_cast<std::size_t>(end)];
}

const std::vector<BorrowedCase> kBorrowedCases = {{"call", add},
                                                  {"lock", add_locked},
                                                  {"action", add_and_act},
                                                  {"priority", add_at_once},
                                                  {"casts", cast_twice}};
const std::vector<BorrowedEnd> kBorrowedEnds = {
    BorrowedEnd::destroyed, BorrowedEnd::never_run_again, BorrowedEnd::run_again_later};

INSTANTIATE_TEST_SUITE_P(Operations, BorrowedLoops,
                         ::testing::Combine(::testing::ValuesIn(kBorrowedCases),
                                            ::testing::ValuesIn(kBorrowedEnds)),
                         borrowed_name_of);

// Its callbacks wait, 50 ms each.
struct Slowly {
  using State = std::int64_t;
  struct Add {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add>;

  Clock* clock = nullptr;

  Result<State> init(const EntityId&) { return 0; }
  Task<Reply<std::int64_t>> handle_call(const Add&, State& s, Context&) {
    static_cast<void>(co_await sleep_for(*clock, 50ms));
    co_return Reply<std::int64_t>(++s);
  }
};

enum class Urgency : std::uint8_t { normal, priority };

Async<void> add_slowly(Ref<Slowly> to, Urgency urgency) {
  const CallOptions patient{kForever};
  const Slowly::Add message;
  if (urgency == Urgency::priority) {
    const auto done = co_await to.priority_call(message, patient);
    co_return without_value(done);
  }
  const auto done = co_await to.call(message, patient);
  co_return without_value(done);
}

Settled start_slowly(Loop& loop, Ref<Slowly> slowly, Urgency urgency) {
  auto outcome = std::make_shared<std::optional<Status>>();
  asio::co_spawn(
      loop,
      [](Ref<Slowly> to, Urgency how, Settled out) -> Task<void> {
        const Status done = co_await add_slowly(std::move(to), how);
        out->emplace(done);
      }(std::move(slowly), urgency, outcome),
      asio::detached);
  return outcome;
}

class WaitingOnLoops : public ::testing::TestWithParam<std::tuple<Urgency, BorrowedEnd>> {
 protected:
  bool round(std::size_t handlers) {
    const auto& [urgency, end] = GetParam();
    LoopsWorld world(LoopsWorld::Pace::slow);
    world.make_host();
    auto behaviour = std::make_shared<Slowly>();
    behaviour->clock = &world.clock_;
    world.host->serve(behaviour);
    const auto started = start(world.host_loop, ref<BorrowedTally>(*world.store, "t"),
                               [&](Ref<BorrowedTally>) { return world.host->start(); });
    EXPECT_TRUE(world.run_until([&] { return started->has_value(); }, kBound, {&world.host_loop}));
    const auto slowly = ref<Slowly>(*world.store, "s");
    const auto of_a = start_slowly(*world.a, slowly, urgency);
    if (!world.run_a(handlers, [&] { return of_a->has_value(); })) return false;
    if (end == BorrowedEnd::destroyed) world.a.reset();
    const std::vector<Loop*> loops{&world.b, &world.host_loop};
    const std::vector<Settled> after = {start_slowly(world.b, slowly, Urgency::normal),
                                        start_slowly(world.b, slowly, Urgency::priority)};
    for (const auto& outcome : after) {
      EXPECT_TRUE(world.run_until([&] { return outcome->has_value(); }, kBound, loops)) << "hangs";
      if (*outcome && !**outcome) ADD_FAILURE() << (*outcome)->error().to_string();
    }
    if (end == BorrowedEnd::run_again_later) {
      EXPECT_TRUE(world.run_until([&] { return of_a->has_value(); }, kBound,
                                  {world.a.get(), &world.b, &world.host_loop}));
    }
    const auto stopped = start(world.b, ref<BorrowedTally>(*world.store, "t"),
                               [&](Ref<BorrowedTally>) { return world.host->stop(); });
    EXPECT_TRUE(world.run_until([&] { return stopped->has_value(); }, kBound, loops))
        << "the host does not stop";
    return true;
  }
};

TEST_P(WaitingOnLoops, keep_nobody_else_whenever_they_end) {
  std::size_t handlers = 0;
  while (round(handlers)) {
    ++handlers;
    if (HasFailure()) FAIL() << "after " << handlers - 1 << " handlers of A";
  }
  EXPECT_GT(handlers, 1u) << "nothing was tried";
}

INSTANTIATE_TEST_SUITE_P(Urgencies, WaitingOnLoops,
                         ::testing::Combine(::testing::Values(Urgency::normal, Urgency::priority),
                                            ::testing::ValuesIn(kBorrowedEnds)));

class BorrowedLoop : public ::testing::Test, public LoopsWorld {
 protected:
  BorrowedLoop() : behaviour(std::make_shared<BorrowedTally>()) {
    make_host();
    host->serve(behaviour);
  }
  std::shared_ptr<BorrowedTally> behaviour;
};

TEST_F(BorrowedLoop, is_left_as_soon_as_none_of_its_callers_waits) {
  const auto local = ref<BorrowedTally>(*store, "t");
  const auto started =
      start(host_loop, local, [this](Ref<BorrowedTally>) { return host->start(); });
  run({&host_loop});
  ASSERT_TRUE(*started && **started);
  std::vector<bool> on_a;
  bool runs_a = false;
  behaviour->in_callback = [&] { on_a.push_back(runs_a); };
  // A's message, and then, while its commit is under way, what others wait for.
  gate->closed = true;
  const auto of_a = start(*a, local, add);
  runs_a = true;
  run({a.get()});
  runs_a = false;
  std::vector<Settled> of_b;
  for (int i = 0; i < 100; ++i) of_b.push_back(start(b, local, add));
  run({&b});
  gate->closed = false;
  gate->open();
  runs_a = true;
  run({a.get()});
  EXPECT_TRUE(*of_a && **of_a);
  runs_a = false;
  EXPECT_EQ(on_a, std::vector<bool>{true}) << "others' messages ran on A";
  run({&b, &host_loop});
  for (const auto& outcome : of_b) EXPECT_TRUE(*outcome && **outcome);
}

TEST_F(BorrowedLoop, is_waited_for_while_a_callback_takes_its_time) {
  const auto local = ref<BorrowedTally>(*store, "t");
  std::vector<Settled> of_b;
  int running = 0;
  bool first = true;
  behaviour->in_callback = [&] {
    EXPECT_EQ(++running, 1) << "two callbacks of one entity at once";
    if (std::exchange(first, false)) {
      of_b.push_back(start(b, local, add));
      pass(4500ms, {&b, &host_loop});
      EXPECT_FALSE(*of_b.front());
    }
    --running;
  };
  const auto of_a = start(*a, local, add);
  run({a.get()});
  EXPECT_TRUE(*of_a && **of_a);
  run({a.get(), &b, &host_loop});
  EXPECT_TRUE(*of_b.front() && **of_b.front());
}

// A process without a host, whose replies are collected on A.
class CollectingLoops : public ::testing::TestWithParam<BorrowedEnd> {
 protected:
  bool round(std::size_t handlers) {
    LoopsWorld world(LoopsWorld::Pace::slow);
    const auto caller = ref<BorrowedTally>(Store(world.gate, world.env_), "t");
    const auto of_a = start(*world.a, caller, add);
    std::vector<Settled> of_b;
    const bool interrupted = world.run_a(handlers, [&] {
      if (of_b.empty()) of_b.push_back(start(world.b, caller, add));
      // The host comes late, so that replies are waited for.
      if (!world.host && world.clock_.now() > MonotonicTime{} + 100ms) {
        world.make_host();
        world.host->serve<BorrowedTally>();
        asio::co_spawn(world.host_loop, world.host->start(), asio::detached);
      }
      return of_a->has_value();
    });
    if (!interrupted) return false;
    if (GetParam() == BorrowedEnd::destroyed) world.a.reset();
    if (!world.host) {
      world.make_host();
      world.host->serve<BorrowedTally>();
      asio::co_spawn(world.host_loop, world.host->start(), asio::detached);
    }
    const std::vector<Loop*> loops{&world.b, &world.host_loop};
    of_b.push_back(start(world.b, caller, add));
    const auto all = [&] {
      for (const auto& outcome : of_b) {
        if (!*outcome) return false;
      }
      return true;
    };
    EXPECT_TRUE(world.run_until(all, kBound, loops)) << "somebody hangs";
    for (const auto& outcome : of_b) {
      const bool is_told = *outcome && !**outcome;
      if (is_told && (*outcome)->error().kind() != ErrorKind::outcome_unknown &&
          (*outcome)->error().kind() != ErrorKind::closed) {
        ADD_FAILURE() << (*outcome)->error().to_string();
      }
    }
    EXPECT_TRUE(*of_b.back() && **of_b.back());
    if (GetParam() == BorrowedEnd::run_again_later) {
      EXPECT_TRUE(world.run_until([&] { return of_a->has_value(); }, kBound,
                                  {world.a.get(), &world.b, &world.host_loop}));
    }
    return true;
  }
};

TEST_P(CollectingLoops, keep_no_reply_from_the_callers_of_others) {
  std::size_t handlers = 0;
  while (round(handlers)) {
    ++handlers;
    if (HasFailure()) FAIL() << "after " << handlers - 1 << " handlers of A";
  }
  EXPECT_GT(handlers, 10u) << "nothing was tried";
}

INSTANTIATE_TEST_SUITE_P(Ends, CollectingLoops,
                         ::testing::Values(BorrowedEnd::destroyed, BorrowedEnd::never_run_again,
                                           BorrowedEnd::run_again_later));

// A process without a host: B's message is on its way, and A's waits for that, when A's loop goes.
TEST(SendingLoops, loops_that_are_gone_leave_nothing_that_keeps_the_store) {
  LoopsWorld world;
  world.gate->closed = true;
  const auto cast = [](Ref<BorrowedTally> to) { return to.cast(BorrowedTally::Add{1}); };
  const auto of_b = start(world.b, ref<BorrowedTally>(*world.store, "t"), cast);
  world.run({&world.b});
  const auto of_a = start(*world.a, ref<BorrowedTally>(*world.store, "t"), cast);
  world.run({world.a.get()});
  world.a.reset();
  world.gate->open();
  world.run({&world.b});
  EXPECT_TRUE(*of_b && **of_b);
  EXPECT_FALSE(*of_a) << "its coroutine was destroyed";
  world.store.reset();
  EXPECT_EQ(world.gate.use_count(), 1) << "what waited for a loop that is gone keeps the store";
}

// L sends, does not run for a while, and B sends for all. Then L runs, and B does not any more.
TEST(SendingLoops, loops_that_come_back_do_not_wait_for_ever_for_the_one_that_sent_for_them) {
  LoopsWorld world;
  world.gate->closed = true;
  const auto cast = [](Ref<BorrowedTally> to) { return to.cast(BorrowedTally::Add{1}); };
  const auto tally = ref<BorrowedTally>(*world.store, "t");
  const auto first = start(*world.a, tally, cast);
  world.run({world.a.get()});
  const auto second = start(*world.a, tally, cast);
  world.run({world.a.get()});
  const auto of_b = start(world.b, tally, cast);
  world.run({&world.b});
  world.pass(4s, {&world.b});
  ASSERT_EQ(world.gate->waiting.size(), 2u) << "B sends for all";
  world.gate->open();
  EXPECT_TRUE(world.run_until([&] { return second->has_value(); }, kBound, {world.a.get()}))
      << "waits for ever";
  ASSERT_TRUE(second->has_value() && first->has_value());
  if (!**second) {
    EXPECT_EQ((*second)->error().kind(), ErrorKind::outcome_unknown);
  }
  const auto later = start(*world.a, tally, cast);
  EXPECT_TRUE(world.run_until([&] { return later->has_value(); }, kBound, {world.a.get()}));
  EXPECT_TRUE(*later && **later);
}

// One commit of A's loop sends for both; whoever A told of it blocks A's thread then.
TEST(SendingLoops, callers_of_other_loops_do_not_wait_for_one_that_blocks_the_sending_loop) {
  LoopsWorld world;
  world.gate->closed = true;
  const auto cast = [](Ref<BorrowedTally> to) { return to.cast(BorrowedTally::Add{1}); };
  const auto tally = ref<BorrowedTally>(*world.store, "t");
  const auto first = start(*world.a, tally, cast);
  world.run({world.a.get()});
  Settled of_b;
  bool is_told = false;
  const auto cast_and_block = [&](Ref<BorrowedTally> to) -> Async<void> {
    const BorrowedTally::Add message{1};
    const Status sent = co_await to.cast(message);
    world.run({&world.b});
    is_told = of_b->has_value();
    co_return sent;
  };
  const auto of_a = start(*world.a, tally, cast_and_block);
  world.run({world.a.get()});
  of_b = start(world.b, tally, cast);
  world.run({&world.b});
  world.gate->let_one_through();
  world.run({world.a.get()});
  ASSERT_EQ(world.gate->waiting.size(), 1u) << "the second commit, for both";
  world.gate->open();
  world.run({world.a.get()});
  ASSERT_TRUE(*first && *of_a);
  EXPECT_TRUE(is_told) << "B waits for what A's caller does next";
}

TEST(SendingLoops, a_key_that_cannot_be_read_fails_its_own_message_alone) {
  LoopsWorld world;
  const EntityId id{std::string(type_name<BorrowedTally>()), "t"};
  const Tenant tenant(*world.store);
  const auto spoil = [&](Ref<BorrowedTally>) -> Async<void> {
    const auto write = [&](Transaction& transaction) -> Async<void> {
      const internal::EntityKeys keys(tenant.prefix(), id);
      transaction.set(keys.key("Add", "spoilt"), "no record");
      co_return Status{};
    };
    co_return co_await world.store->transact(write);
  };
  const auto tally = ref<BorrowedTally>(tenant, "t");
  const auto spoilt = start(world.b, tally, spoil);
  world.run({&world.b});
  ASSERT_TRUE(*spoilt && **spoilt);
  // In one batch: they come while another commit is under way.
  world.gate->closed = true;
  const auto cast = [](Ref<BorrowedTally> to) { return to.cast(BorrowedTally::Add{1}); };
  const auto keyed = [](Ref<BorrowedTally> to) -> Async<void> {
    CastOptions options;
    options.key = IdempotencyKey{"spoilt"};
    const BorrowedTally::Add message;
    co_return co_await to.cast(message, options);
  };
  const auto before = start(world.b, tally, cast);
  world.run({&world.b});
  const auto of_key = start(world.b, tally, keyed);
  const auto beside = start(world.b, tally, cast);
  world.run({&world.b});
  world.gate->open();
  world.run({&world.b});
  EXPECT_TRUE(*before && **before);
  ASSERT_TRUE(of_key->has_value());
  ASSERT_FALSE(**of_key);
  EXPECT_EQ((*of_key)->error().kind(), ErrorKind::corrupt);
  ASSERT_TRUE(beside->has_value());
  EXPECT_TRUE(**beside) << (*beside)->error().to_string();
}

// A host that is started from A.
class StartingLoops : public ::testing::TestWithParam<BorrowedEnd> {};

TEST_P(StartingLoops, keep_no_host_from_being_started_by_others) {
  for (std::size_t handlers = 0;; ++handlers) {
    LoopsWorld world(LoopsWorld::Pace::slow);
    world.make_host();
    world.host->serve<BorrowedTally>();
    const auto tally = ref<BorrowedTally>(*world.store, "t");
    const Operation begin = [&](Ref<BorrowedTally>) { return world.host->start(); };
    const auto of_a = start(*world.a, tally, begin);
    if (!world.run_a(handlers, [&] { return of_a->has_value(); })) {
      EXPECT_GT(handlers, 0u);
      break;
    }
    if (GetParam() == BorrowedEnd::destroyed) world.a.reset();
    const auto of_b = start(world.b, tally, begin);
    EXPECT_TRUE(
        world.run_until([&] { return of_b->has_value(); }, kBound, {&world.b, &world.host_loop}))
        << "hangs after " << handlers << " handlers of A";
    EXPECT_TRUE(*of_b && **of_b);
    if (HasFailure()) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Ends, StartingLoops,
                         ::testing::Values(BorrowedEnd::destroyed, BorrowedEnd::never_run_again));

}  // namespace
}  // namespace semper
