// A process that is stopped for longer than a transaction may take, or whose disk stalls so long:
// whatever it was doing is begun anew and gets through, wherever the pause falls.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "semper/semper.h"
#include "semper/server/cast_once.h"
#include "semper/store/too_old.h"
#include "semper/testing/simulated_run.h"

namespace semper::internal {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;

// Longer than transaction_duration.
constexpr Duration kPause = 6s;

// Which step of the store is followed by pauses, and by how many of them.
struct Stall {
  explicit Stall(SimulatedClock& of) : clock(of) {}
  Task<void> step() {
    const std::size_t mine = steps++;
    if (mine < first || mine >= first + pauses) co_return;
    ++happened;
    static_cast<void>(co_await sleep_for(clock, pause));
  }
  void arm(std::size_t at, std::size_t times) {
    steps = 0;
    first = at;
    pauses = times;
    happened = 0;
  }
  SimulatedClock& clock;
  std::size_t steps = 0;
  std::size_t first = ~std::size_t{0} / 2;
  std::size_t pauses = 0;
  std::size_t happened = 0;
  Duration pause = kPause;
};

class StallingSnapshot final : public Snapshot {
 public:
  StallingSnapshot(std::unique_ptr<Snapshot> inner, Stall& stall)
      : inner_(std::move(inner)), stall_(stall) {}
  Version version() const override { return inner_->version(); }
  Async<void> fix_version() override { return inner_->fix_version(); }
  Async<std::optional<Bytes>> get(BytesView key) override {
    co_await stall_.step();
    auto value = co_await inner_->get(key);
    co_await stall_.step();
    co_return value;
  }
  Async<RangePage> get_range(const PageRequest& request) override {
    co_await stall_.step();
    auto page = co_await inner_->get_range(request);
    co_await stall_.step();
    co_return page;
  }
  Snapshot& inner() { return *inner_; }

 private:
  std::unique_ptr<Snapshot> inner_;
  Stall& stall_;
};

class StallingBackend final : public Backend {
 public:
  StallingBackend(std::shared_ptr<Backend> inner, SimulatedClock& clock)
      : stall(clock), inner_(std::move(inner)) {}
  const Limits& limits() const override { return inner_->limits(); }
  BackendTraits traits() const override { return inner_->traits(); }
  std::string url() const override { return inner_->url(); }
  Async<std::unique_ptr<Snapshot>> snapshot() override {
    SEMPER_CO_TRY(auto made, co_await inner_->snapshot());
    co_return std::make_unique<StallingSnapshot>(std::move(made), stall);
  }
  Async<CommitReceipt> commit(CommitRequest request) override {
    return inner_->commit(std::move(request));
  }
  Async<std::unique_ptr<Watch>> watch(BytesView key, Snapshot& seen) override {
    return inner_->watch(key, static_cast<StallingSnapshot&>(seen).inner());
  }
  Async<std::string> check() override { return inner_->check(); }
  std::vector<std::pair<std::string, std::int64_t>> statistics() const override { return {}; }
  Async<void> close() override { return inner_->close(); }

  Stall stall;

 private:
  std::shared_ptr<Backend> inner_;
};

struct PausedTally {
  using State = std::int64_t;
  struct Add {
    using Reply = std::int64_t;
  };
  struct AddLocked {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, AddLocked>;

  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add&, State& s, Context&) { return ++s; }
  void handle_cast(const Add&, State& s, Context&) { ++s; }
  void handle_info(const Add&, State& s, Context&) { ++s; }
  Reply<std::int64_t> handle_call(const AddLocked&, State&, Context&) { return lock(); }
  Reply<std::int64_t> handle_locked(const AddLocked&, State& s, LockedContext&) { return ++s; }
};

Status without_value(const Result<std::int64_t>& result) {
  if (!result) return fail(result.error());
  return {};
}

const CallOptions kPatient{kForever};

struct PausedCase {
  const char* name;
  std::int64_t adds;  // to the entity, which had 1 before
  std::function<Async<void>(Ref<PausedTally>, Store)> run;
};

// Functions, not lambdas: nothing is captured, and each has a name.
Async<void> call(Ref<PausedTally> tally, Store) {
  co_return without_value(co_await tally.call(PausedTally::Add{}, kPatient));
}
Async<void> call_of_another(Ref<PausedTally>, Store store) {
  const std::string id = "not in memory";
  co_return without_value(co_await ref<PausedTally>(store, id).call(PausedTally::Add{}, kPatient));
}
Async<void> cast(Ref<PausedTally> tally, Store) {
  co_return co_await tally.cast(PausedTally::Add{});
}
Async<void> priority_call(Ref<PausedTally> tally, Store) {
  co_return without_value(co_await tally.priority_call(PausedTally::Add{}, kPatient));
}
Async<void> priority_cast(Ref<PausedTally> tally, Store) {
  co_return co_await tally.priority_cast(PausedTally::Add{});
}
Async<void> info(Ref<PausedTally> tally, Store) {
  co_return co_await tally.info(PausedTally::Add{});
}
Async<void> call_that_locks(Ref<PausedTally> tally, Store) {
  co_return without_value(co_await tally.call(PausedTally::AddLocked{}, kPatient));
}
Async<void> cast_once_more(Ref<PausedTally>, Store store) {
  std::vector<OnceCast> casts;
  casts.emplace_back();
  casts.back().to = EntityId{std::string(type_name<PausedTally>()), "t"};
  casts.back().message =
      RawMessage{std::string(short_type_name<PausedTally::Add>()), encode(PausedTally::Add{})};
  casts.back().sequence = 7;
  const std::string source = "log";
  co_return co_await cast_once(Tenant(store), source, std::move(casts));
}
Async<void> reset(Ref<PausedTally> tally, Store) {
  co_return co_await tally.reset();
}
Async<void> kill(Ref<PausedTally> tally, Store) {
  co_return co_await tally.kill();
}
Async<void> look(Ref<PausedTally>, Store store) {
  const EntityId id{std::string(type_name<PausedTally>()), "t"};
  const auto view = co_await inspect(Tenant(store), id);
  if (!view) co_return fail(view.error());
  co_return Status{};
}

const PausedCase kPausedCases[] = {
    {"call", 1, call},
    {"call of another", 0, call_of_another},
    {"cast", 1, cast},
    {"priority_call", 1, priority_call},
    {"priority_cast", 1, priority_cast},
    {"info", 1, info},
    {"a call that locks", 1, call_that_locks},
    {"cast_once", 1, cast_once_more},
    {"inspect", 0, look},
    {"reset", -1, reset},
    {"kill", -1, kill},
};

struct Ending {
  std::size_t pauses = 0;
  Duration took{};
  Status told;
  std::int64_t state = 0;
};

// In a process with a host; the pauses come at this step of the store after the operation began.
Ending run_once(const PausedCase& tried, std::size_t at, std::size_t pauses,
                Duration pause = kPause) {
  SimulatedClock clock;
  SeededRandom random(1);
  Env env{&clock, &random};
  Ending outcome;
  simulated_run(clock, [&]() -> Task<void> {
    register_builtin_backends();
    auto memory = co_await open_backend("memory:", env);
    auto stalling = std::make_shared<StallingBackend>(*memory, clock);
    const Store store(stalling, env);
    HostOptions options;
    options.executor = co_await asio::this_coro::executor;
    Host host(store, options);
    host.serve<PausedTally>();
    EXPECT_TRUE(co_await host.start());
    const std::string id = "t";
    const auto tally = ref<PausedTally>(store, id);
    EXPECT_TRUE(co_await tally.call(PausedTally::Add{}, kPatient));
    stalling->stall.arm(at, pauses);
    stalling->stall.pause = pause;
    const MonotonicTime began = clock.now();
    outcome.told = co_await tried.run(tally, store);
    outcome.took = clock.now() - began;
    outcome.pauses = stalling->stall.happened;
    if (pauses > 1) stalling->stall.arm(0, 0);
    // What was cast is processed.
    static_cast<void>(co_await sleep_for(clock, std::max<Duration>(60s, 2 * pause)));
    outcome.pauses = std::max(outcome.pauses, stalling->stall.happened);
    stalling->stall.arm(0, 0);
    const EntityId entity{std::string(type_name<PausedTally>()), id};
    const auto view = co_await inspect(Tenant(store), entity);
    if (view && view->state) outcome.state = *decode<std::int64_t>(*view->state);
    EXPECT_TRUE(co_await host.stop());
  }());
  return outcome;
}

class Pauses : public ::testing::TestWithParam<PausedCase> {};

TEST_P(Pauses, a_pause_at_any_read_of_the_store_is_survived) {
  const PausedCase& tried = GetParam();
  std::size_t places = 0;
  for (std::size_t at = 0; at < 60; ++at) {
    const Ending outcome = run_once(tried, at, 1);
    if (outcome.pauses == 0) break;
    ++places;
    EXPECT_TRUE(outcome.told) << "paused at step " << at << ": "
                              << outcome.told.error().to_string();
    EXPECT_EQ(outcome.state, 1 + tried.adds) << "paused at step " << at;
  }
  EXPECT_GE(places, 2u) << "the pauses met nothing";
}

// Of a process that was stopped for longer than TransactOptions::timeout, all of which was not its
// own.
TEST(PausesOfMinutes, are_no_reason_to_give_up) {
  for (const auto& tried : {kPausedCases[2], kPausedCases[7], kPausedCases[9]}) {
    const Ending outcome = run_once(tried, 0, 1, 2min);
    EXPECT_EQ(outcome.pauses, 1u) << tried.name;
    EXPECT_TRUE(outcome.told) << tried.name << ": " << outcome.told.error().to_string();
    EXPECT_EQ(outcome.state, 1 + tried.adds) << tried.name;
  }
}

// Bounded: kTooOldAttempts, or TransactOptions::timeout.
TEST(PausesWithoutEnd, are_given_up_by_name_and_nothing_takes_effect) {
  for (const auto& tried :
       {kPausedCases[1], kPausedCases[3], kPausedCases[4], kPausedCases[7], kPausedCases[8]}) {
    const Ending outcome = run_once(tried, 0, 10'000);
    ASSERT_FALSE(outcome.told) << tried.name;
    EXPECT_TRUE(is_too_old(outcome.told.error()))
        << tried.name << ": " << outcome.told.error().to_string();
    EXPECT_EQ(outcome.state, 1) << tried.name;
    EXPECT_GE(outcome.took, 3 * kPause) << tried.name;
    EXPECT_LE(outcome.took, 60s) << tried.name;
  }
}

std::string name_of(const ::testing::TestParamInfo<PausedCase>& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Operations, Pauses, ::testing::ValuesIn(kPausedCases), name_of);

}  // namespace
}  // namespace semper::internal
