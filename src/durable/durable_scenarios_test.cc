// What a Durable promises, as a table: what happens to it, and what must be seen, in this order.
// The table was written from the promises alone.
//
// Builds, one per attempt: ok, error, throw, broken (built, but broken), hang (until cancelled),
// slow and slowerror (after 1 s), permanent. Steps: with, with3 (three at once), break, mend,
// refused (a with whose f fails), later (a with that is not awaited), sleep (1 s), long (11 s),
// check, invalidate, reset, close, hold (an f that runs until `release`), badcheck (is_broken
// throws from now on), goodcheck. Seen: create, rebuild(N), f(N), the kind of an error, intact,
// lost, disposed(N).
#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "semper/durable/durable.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;

struct Scenario {
  const char* name;
  const char* builds;
  const char* steps;
  const char* seen;
  bool rebuilds = false;
  std::uint32_t attempt_limit = 0;
  bool pauses = false;    // a pause of 2 to 4 s after a failure
  bool deadline = false;  // 10 s for each attempt
  std::size_t max_waiters = 100;
  bool no_overlap = false;
};

const Scenario kScenarios[] = {
    {"create_builds_nothing", "", "check sleep", "lost"},
    {"the_first_with_creates", "ok", "with", "lost create intact f(1)"},
    {"an_intact_value_is_used_again", "ok", "with with", "lost create intact f(1) f(1)"},
    {"a_failed_creation_is_the_error_and_the_next_with_tries_again", "error ok", "with with",
     "lost create io create intact f(2)"},
    {"a_creator_that_throws_leaves_nothing_stuck", "throw ok", "with with",
     "lost create internal create intact f(2)"},
    {"a_broken_value_is_created_again_without_a_rebuilder", "ok ok", "with break with",
     "lost create intact f(1) lost disposed(1) create intact f(2)"},
    {"a_broken_value_is_rebuilt_where_there_is_a_rebuilder", "ok ok", "with break with",
     "lost create intact f(1) lost rebuild(1) intact f(2)", true},
    {"a_failed_rebuild_drops_the_value_and_the_next_with_creates", "ok error ok",
     "with break with with",
     "lost create intact f(1) lost rebuild(1) disposed(1) io create intact f(3)", true},
    {"a_rebuilder_that_throws_drops_the_value_and_the_next_with_creates", "ok throw ok",
     "with break with with",
     "lost create intact f(1) lost rebuild(1) disposed(1) internal create intact f(3)", true},
    {"a_value_broken_after_its_build_is_an_error_and_f_does_not_run", "broken ok", "with with",
     "lost create retry disposed(1) create intact f(2)"},
    {"a_value_broken_after_its_build_is_kept_for_the_rebuilder", "broken ok", "with with",
     "lost create retry rebuild(1) intact f(2)", true},
    {"a_value_broken_after_its_rebuild_is_an_error", "ok broken ok", "with break with with",
     "lost create intact f(1) lost rebuild(1) retry rebuild(2) intact f(3)", true},
    {"one_with_makes_one_attempt_only", "error error ok", "with with", "lost create io create io"},
    {"callers_at_once_share_one_attempt", "slow", "with3", "lost create intact f(1) f(1) f(1)"},
    {"callers_at_once_share_one_failure", "slowerror ok", "with3 with",
     "lost create io io io create intact f(2)"},
    {"callers_at_once_share_one_rebuild", "ok slow", "with break with3",
     "lost create intact f(1) lost rebuild(1) intact f(2) f(2) f(2)", true},
    {"more_callers_than_may_wait_are_refused", "slow", "with3",
     "lost create retry intact f(1) f(1)", false, 0, false, false, 2},
    {"is_broken_that_throws_is_an_error_and_the_value_stays", "ok",
     "with badcheck with goodcheck with", "lost create intact f(1) internal f(1)"},
    {"is_broken_that_throws_after_the_build_leaves_no_value", "ok ok",
     "badcheck with goodcheck with", "lost create disposed(1) internal create intact f(2)"},
    {"check_publishes_and_builds_nothing", "ok", "with break check mend check",
     "lost create intact f(1) lost intact"},
    {"a_value_that_heals_itself_is_used_and_published", "ok", "with break check mend with",
     "lost create intact f(1) lost intact f(1)"},
    {"an_invalidated_value_is_built_again", "ok ok", "with invalidate check with",
     "lost create intact f(1) lost disposed(1) create intact f(2)"},
    {"close_refuses_and_disposes", "ok", "with close with close",
     "lost create intact f(1) lost disposed(1) closed"},
    {"close_before_the_first_use_builds_nothing", "", "close with", "lost closed"},
    {"a_value_in_use_is_disposed_when_its_user_leaves", "ok ok", "hold break with release",
     "lost create intact hold(1) lost create intact f(2) disposed(1)"},
    {"without_overlap_the_next_one_is_built_when_the_user_has_left", "ok ok",
     "hold break later release", "lost create intact hold(1) lost disposed(1) create intact f(2)",
     false, 0, false, false, 100, true},
    {"without_overlap_an_attempt_waits_until_its_deadline_only", "ok ok ok",
     "hold break with release with",
     "lost create intact hold(1) lost timeout disposed(1) create intact f(2)", false, 0, false,
     true, 100, true},
    {"close_lets_a_function_end_and_disposes_then", "ok", "hold close release",
     "lost create intact hold(1) lost disposed(1)"},
    {"at_the_attempt_limit_nothing_is_attempted_until_reset", "error error ok",
     "with with with reset with", "lost create io create io exhausted create intact f(3)", false,
     2},
    {"a_success_starts_the_count_of_the_limit_anew", "error ok error ok",
     "with with break with with",
     "lost create io create intact f(2) lost disposed(2) create io create intact f(4)", false, 2},
    {"a_permanent_error_stays_until_reset", "permanent ok", "with with sleep with reset with",
     "lost create permission permission permission create intact f(2)"},
    {"in_the_pause_after_a_failure_nothing_is_attempted", "error ok",
     "with with sleep with sleep "
     "sleep sleep with",
     "lost create io retry retry create intact f(2)", false, 0, true},
    {"what_breaks_soon_after_its_build_waits_too", "ok ok",
     "refused break with sleep sleep sleep sleep with",
     "lost create intact refused(1) lost retry disposed(1) create intact f(2)", false, 0, true},
    {"what_was_of_use_is_built_again_at_once", "error ok ok",
     "with sleep sleep sleep sleep with break with",
     "lost create io create intact f(2) lost disposed(2) create intact f(3)", false, 0, true},
    {"a_value_that_was_healthy_for_long_is_built_again_at_once", "error ok ok",
     "with sleep sleep sleep sleep with long break with",
     "lost create io create intact f(2) lost disposed(2) create intact f(3)", false, 0, true},
    {"reset_ends_the_pause", "error ok", "with reset with", "lost create io create intact f(2)",
     false, 0, true},
    {"an_attempt_past_its_deadline_fails_its_callers", "hang ok", "with3 with",
     "lost create timeout timeout timeout create intact f(2)", false, 0, false, true},
    {"a_rebuild_past_its_deadline_drops_the_value", "ok hang ok", "with break with sleep with",
     "lost create intact f(1) lost rebuild(1) timeout disposed(1) create intact f(3)", true, 0,
     false, true},
};

struct NumberedValue {
  int id;
};

class ScenarioWorld {
 public:
  explicit ScenarioWorld(const Scenario& scenario)
      : scenario_(scenario), builds_(scenario.builds) {}

  std::string play() {
    Durable<NumberedValue>::Options options;
    options.env = Env{&clock_, &random_};
    options.dispose = [this](NumberedValue& value) { see("disposed", value.id); };
    options.is_permanent = is_permanent_error;
    options.attempt_limit = scenario_.attempt_limit;
    options.max_waiters = scenario_.max_waiters;
    options.retry = std::nullopt;
    if (scenario_.pauses) {
      options.retry = RetryOptions{.initial = 4s, .maximum = 4s};
      options.with.when_down = WhenDown::fail;
    }
    if (scenario_.deadline) options.attempt_deadline = 10s;
    if (scenario_.no_overlap) options.overlap = Overlap::never;
    Durable<NumberedValue>::Rebuild rebuild;
    if (scenario_.rebuilds) {
      rebuild = [this](NumberedValue& value) {
        see("rebuild", value.id);
        return build();
      };
    }
    auto durable = Durable<NumberedValue>::create(
        [this] {
          see("create");
          return build();
        },
        [this](const NumberedValue& value) {
          if (bad_check_) throw std::runtime_error("cannot tell");
          return broken_.count(value.id) > 0;
        },
        rebuild, options);
    auto heard =
        durable.is_intact().subscribe([this](bool intact) { see(intact ? "intact" : "lost"); });
    simulated_run(clock_, run(durable));
    return seen_;
  }

 private:
  void see(const std::string& what) {
    if (scenario_over_) return;
    seen_ += (seen_.empty() ? "" : " ") + what;
  }
  void see(const std::string& what, int id) { see(what + "(" + std::to_string(id) + ")"); }

  Async<NumberedValue> build() {
    std::string how;
    builds_ >> how;
    const int id = ++last_id_;
    if (how == "throw") throw std::runtime_error("the builder's trouble");

    if (how == "permanent") co_return fail(ErrorKind::permission, "the builder may not");
    if (how == "slow" || how == "slowerror") SEMPER_CO_TRY_STATUS(co_await sleep_for(clock_, 1s));
    if (how == "error" || how == "slowerror") {
      co_return fail(ErrorKind::io, "the builder's error");
    }
    if (how == "hang") SEMPER_CO_TRY_STATUS(co_await sleep_for(clock_, 24h));
    if (how == "broken") broken_.insert(id);
    EXPECT_NE(how, "") << "an attempt too many";
    co_return NumberedValue{id};
  }

  Task<void> with(Durable<NumberedValue> durable) {
    auto done = co_await durable.with([this](NumberedValue& value) { see("f", value.id); });
    if (!done) see(std::string(to_string(done.error().kind())));
    ++ended_;
  }

  Task<void> refused(Durable<NumberedValue> durable) {
    auto done = co_await durable.with([this](NumberedValue& value) -> Result<void> {
      see("refused", value.id);
      return fail(ErrorKind::not_found, "the function's error");
    });
    EXPECT_FALSE(done);
  }

  Task<void> hold(Durable<NumberedValue> durable) {
    auto done = co_await durable.with([this](NumberedValue& value) -> Async<void> {
      see("hold", value.id);
      SEMPER_CO_TRY(const bool released, co_await release_.wait());
      EXPECT_TRUE(released);
      co_return Status();
    });
    EXPECT_TRUE(done);
  }

  Task<void> run(Durable<NumberedValue> durable);

  const Scenario& scenario_;
  std::istringstream builds_;
  SimulatedClock clock_;
  SeededRandom random_{1};
  std::set<int> broken_;
  bool bad_check_ = false;
  int last_id_ = 0;
  int ended_ = 0;
  bool scenario_over_ = false;
  OneShot<bool> release_;
  std::string seen_;
};

Task<void> ScenarioWorld::run(Durable<NumberedValue> durable) {
  const auto executor = co_await asio::this_coro::executor;
  std::istringstream steps(scenario_.steps);
  for (std::string step; steps >> step;) {
    if (step == "with") {
      co_await with(durable);
    } else if (step == "refused") {
      co_await refused(durable);
    } else if (step == "with3") {
      ended_ = 0;
      for (int i = 0; i < 3; ++i) asio::co_spawn(executor, with(durable), asio::detached);
      while (ended_ < 3) EXPECT_TRUE(co_await sleep_for(clock_, 10ms));
    } else if (step == "later") {
      asio::co_spawn(executor, with(durable), asio::detached);
      EXPECT_TRUE(co_await sleep_for(clock_, 10ms));
    } else if (step == "hold") {
      asio::co_spawn(executor, hold(durable), asio::detached);
      EXPECT_TRUE(co_await sleep_for(clock_, 10ms));
    } else if (step == "release") {
      release_.set(true);
      EXPECT_TRUE(co_await sleep_for(clock_, 10ms));
    } else if (step == "sleep") {
      EXPECT_TRUE(co_await sleep_for(clock_, 1s));
    } else if (step == "long") {
      EXPECT_TRUE(co_await sleep_for(clock_, 11s));
    } else if (step == "break") {
      broken_.insert(last_id_);
    } else if (step == "mend") {
      broken_.clear();
    } else if (step == "badcheck" || step == "goodcheck") {
      bad_check_ = step == "badcheck";
    } else if (step == "check") {
      EXPECT_TRUE(durable.check());
    } else if (step == "invalidate") {
      durable.invalidate();
    } else if (step == "reset") {
      durable.reset();
    } else if (step == "close") {
      durable.close();
    } else {
      ADD_FAILURE() << "no such step: " << step;
    }
  }
  // What a durable still holds at the end of a scenario is not part of it.
  scenario_over_ = true;
}

class DurableScenario : public ::testing::TestWithParam<Scenario> {};

TEST_P(DurableScenario, what_happens_is_what_the_table_says) {
  EXPECT_EQ(ScenarioWorld(GetParam()).play(), GetParam().seen);
}

INSTANTIATE_TEST_SUITE_P(table, DurableScenario, ::testing::ValuesIn(kScenarios),
                         [](const auto& scenario) { return std::string(scenario.param.name); });

}  // namespace
}  // namespace semper
