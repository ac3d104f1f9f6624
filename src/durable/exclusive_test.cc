// A value for one f at a time: turns, and what an f leaves behind that did not come to its end.
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "semper/durable/durable.h"
#include "semper/durable/system_errors.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using namespace std::chrono_literals;
using testing::simulated_run;
using testing::SimulatedClock;

// A connection with one line for questions and answers: who reads gets the oldest answer, whoever
// asked for it.
struct Line {
  int number = 0;
  std::shared_ptr<std::deque<std::string>> answers = std::make_shared<std::deque<std::string>>();
};

class ExclusiveWorld {
 public:
  ExclusiveWorld() {
    options.name = "the line";
    options.env = Env{&clock, &random};
    options.access = Access::exclusive;
    options.dispose = [this](Line&) { ++disposed; };
  }

  Durable<Line> durable() {
    return Durable<Line>::create([this] { return connect(); },
                                 [this](const Line& line) { return is_broken(line); }, options);
  }
  Async<Line> connect() {
    ++attempts;
    if (takes > Duration::zero()) SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, takes));
    if (refused > 0) {
      --refused;
      co_return fail(ErrorKind::io, "connection refused");
    }
    co_return Line{++connections};
  }
  bool is_broken(const Line& line) {
    EXPECT_EQ(inside, 0) << "is_broken beside an f";
    ++asked;
    return line.number == broken;
  }
  Async<std::string> ask(Line& line, std::string question) {
    struct Inside {
      int& count;
      explicit Inside(int& of) : count(of) { EXPECT_EQ(++count, 1) << "two f at once"; }
      ~Inside() { --count; }
    } in(inside);
    line.answers->push_back("answer to " + question);
    SEMPER_CO_TRY_STATUS(co_await sleep_for(clock, 1s));
    std::string answer = line.answers->front();
    line.answers->pop_front();
    co_return answer;
  }
  // Asks, and keeps what it got.
  Task<void> caller(Durable<Line> line, std::string question, WithOptions how = WithOptions()) {
    auto f = [this, &question](Line& on) { return ask(on, question); };
    auto answer = co_await line.with(how, f);
    EXPECT_TRUE(!answer || *answer == "answer to " + question) << "a wrong answer: " << *answer;
    seen.push_back(question + "=" +
                   (answer ? "ok" : std::string(to_string(answer.error().kind()))));
    if (!answer) last_error = answer.error().to_string();
  }

  SimulatedClock clock;
  SeededRandom random{1};
  DurableOptions<Line> options;
  Duration takes{};  // to connect
  int attempts = 0, connections = 0, refused = 0, broken = 0, disposed = 0, asked = 0, inside = 0;
  std::vector<std::string> seen;
  std::string last_error;
};

using Seen = std::vector<std::string>;

TEST(DurableExclusive, functions_run_one_at_a_time_in_the_order_in_which_they_came) {
  ExclusiveWorld world;
  world.options.executor = Executor();
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto line = world.durable();
    for (char name = 'a'; name < 'f'; ++name) {
      asio::co_spawn(executor, world.caller(line, std::string(1, name)), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 2500ms));
    EXPECT_EQ(line.statistics().waiting_for_turn, 2u);
    static_cast<void>(co_await sleep_for(world.clock, 1min));
  }());
  EXPECT_EQ(world.seen, (Seen{"a=ok", "b=ok", "c=ok", "d=ok", "e=ok"}));
  EXPECT_EQ(world.connections, 1);
}

TEST(DurableExclusive, checks_and_probes_leave_alone_what_an_f_is_using) {
  ExclusiveWorld world;
  int probes = 0;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    world.options.executor = executor;
    world.options.repair_every = 300ms;
    world.options.probe = [&](Line&) -> Async<void> {
      EXPECT_EQ(world.inside, 0) << "the probe beside an f";
      ++probes;
      SEMPER_CO_TRY_STATUS(co_await sleep_for(world.clock, 50ms));
      EXPECT_EQ(world.inside, 0) << "an f beside the probe";
      co_return Status();
    };
    auto line = world.durable();
    for (int i = 0; i < 10; ++i) {
      asio::co_spawn(executor, world.caller(line, std::to_string(i)), asio::detached);
      static_cast<void>(co_await sleep_for(world.clock, 700ms));
      auto intact = line.check();
      EXPECT_TRUE(intact && *intact);
    }
    static_cast<void>(co_await sleep_for(world.clock, 30s));
    co_await line.join();
  }());
  EXPECT_EQ(world.seen.size(), 10u);
  EXPECT_GT(probes, 10);
}

TEST(DurableExclusive, a_caller_that_is_cancelled_in_the_middle_leaves_no_answer_for_the_next) {
  ExclusiveWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto line = world.durable();
    asio::cancellation_signal signal;
    asio::co_spawn(executor, world.caller(line, "a"),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    asio::co_spawn(executor, world.caller(line, "b"), asio::detached);
    static_cast<void>(co_await sleep_for(world.clock, 500ms));
    signal.emit(asio::cancellation_type::terminal);
    static_cast<void>(co_await sleep_for(world.clock, 10s));
  }());
  EXPECT_EQ(world.seen.back(), "b=ok");
  EXPECT_EQ(world.connections, 2) << "what was cut off in the middle is used no more";
  EXPECT_EQ(world.disposed, 2);
}

TEST(DurableExclusive,
     a_deadline_that_passes_while_f_runs_is_outcome_unknown_and_breaks_the_value) {
  ExclusiveWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    auto line = world.durable();
    const WithOptions soon{.deadline = 300ms};
    co_await world.caller(line, "a", soon);
    EXPECT_EQ(world.clock.now(), SimulatedClock::kStart + 300ms);
    EXPECT_EQ(world.inside, 0) << "f has ended when its with returns";
    co_await world.caller(line, "b");
  }());
  EXPECT_EQ(world.seen, (Seen{"a=outcome_unknown", "b=ok"}));
  EXPECT_EQ(world.connections, 2);
  EXPECT_NE(world.last_error.find("the line: the deadline"), std::string::npos) << world.last_error;
}

TEST(DurableExclusive, an_f_that_succeeds_in_spite_of_its_deadline_has_succeeded) {
  ExclusiveWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    auto line = world.durable();
    auto deaf = [&](Line& on) -> Async<std::string> {
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      co_return co_await world.ask(on, "a");
    };
    const WithOptions soon{.deadline = 300ms};
    auto answer = co_await line.with(soon, deaf);
    EXPECT_EQ(answer, "answer to a");
    co_await world.caller(line, "b");
  }());
  EXPECT_EQ(world.connections, 1);
}

TEST(DurableExclusive, a_deadline_that_passes_before_the_turn_is_timeout_and_f_does_not_run) {
  ExclusiveWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto line = world.durable();
    const WithOptions soon{.deadline = 300ms};
    asio::co_spawn(executor, world.caller(line, "a"), asio::detached);
    asio::co_spawn(executor, world.caller(line, "b", soon), asio::detached);
    asio::co_spawn(executor, world.caller(line, "c"), asio::detached);
    static_cast<void>(co_await sleep_for(world.clock, 10s));
    EXPECT_EQ(line.statistics().waiting_for_turn, 0u);
  }());
  EXPECT_EQ(world.seen, (Seen{"b=timeout", "a=ok", "c=ok"}));
  EXPECT_EQ(world.connections, 1);
  EXPECT_NE(world.last_error.find("1 of 1 in use"), std::string::npos) << world.last_error;
}

// In every order of the one who leaves and the one who gives: the turn is never lost.
TEST(DurableExclusive, a_waiter_that_leaves_while_it_is_given_the_turn_passes_it_on) {
  for (const auto when : {999ms, 1000ms, 1001ms}) {
    for (int turns = 0; turns < 6; ++turns) {
      ExclusiveWorld world;
      simulated_run(world.clock, [&]() -> Task<void> {
        const auto executor = co_await asio::this_coro::executor;
        auto line = world.durable();
        asio::cancellation_signal signal;
        asio::co_spawn(executor, world.caller(line, "a"), asio::detached);
        asio::co_spawn(executor, world.caller(line, "b"),
                       asio::bind_cancellation_slot(signal.slot(), asio::detached));
        asio::co_spawn(executor, world.caller(line, "c"), asio::detached);
        static_cast<void>(co_await sleep_for(world.clock, when));
        for (int i = 0; i < turns; ++i) co_await yield_now();
        signal.emit(asio::cancellation_type::terminal);
        static_cast<void>(co_await sleep_for(world.clock, 10s));
        co_await world.caller(line, "d");
      }());
      ASSERT_GE(world.seen.size(), 3u);
      EXPECT_EQ(world.seen[world.seen.size() - 2], "c=ok");
      EXPECT_EQ(world.seen.back(), "d=ok");
    }
  }
}

TEST(DurableExclusive, a_loop_that_goes_with_the_turn_and_with_a_waiter_stops_nobody) {
  ExclusiveWorld world;
  auto doomed = std::make_unique<asio::io_context>(1);
  asio::io_context home(1);
  world.options.executor = home.get_executor();
  auto line = world.durable();
  const auto turn_both = [&] {
    for (int i = 0; i < 20; ++i) {
      if (doomed) doomed->restart(), doomed->poll();
      home.restart(), home.poll();
    }
  };
  asio::co_spawn(*doomed, world.caller(line, "a"), asio::detached);
  turn_both();
  asio::co_spawn(*doomed, world.caller(line, "b"), asio::detached);
  turn_both();
  asio::co_spawn(home, world.caller(line, "c"), asio::detached);
  turn_both();
  EXPECT_EQ(line.statistics().waiting_for_turn, 2u);
  doomed.reset();
  for (int i = 0; i < 10; ++i) {
    turn_both();
    world.clock.advance(500ms);
  }
  turn_both();
  EXPECT_EQ(world.seen, Seen{"c=ok"});
  EXPECT_EQ(world.connections, 2) << "what the loop's f was in the middle of is broken";
  line.close();
  turn_both();
}

TEST(DurableExclusive, errors_of_the_connection_break_it_and_answers_of_the_server_do_not) {
  for (const ErrorKind kind : {ErrorKind::io, ErrorKind::timeout, ErrorKind::closed,
                               ErrorKind::cancelled, ErrorKind::not_found, ErrorKind::conflict}) {
    ExclusiveWorld world;
    simulated_run(world.clock, [&]() -> Task<void> {
      auto line = world.durable();
      auto f = [&](Line&) -> Result<void> { return fail(kind, "as it is"); };
      auto failed = co_await line.with(f);
      EXPECT_EQ(failed.error(), Error(kind, "as it is")) << "it passes unchanged";
      co_await world.caller(line, "next");
    }());
    const bool breaks = is_connection_error(Error(kind, ""));
    EXPECT_EQ(world.connections, breaks ? 2 : 1) << to_string(kind);
  }
}

TEST(DurableExclusive, breaks_on_decides_and_one_that_throws_breaks) {
  for (const bool throws : {false, true}) {
    ExclusiveWorld world;
    world.options.breaks_on = [throws](const Error& error) {
      if (throws) throw std::runtime_error("cannot tell");
      return error.kind() == ErrorKind::not_found;
    };
    simulated_run(world.clock, [&]() -> Task<void> {
      auto line = world.durable();
      static_cast<void>(co_await line.with(
          [](Line&) -> Result<void> { return fail(ErrorKind::io, "of a disk"); }));
      EXPECT_EQ(world.connections, 1);
      static_cast<void>(co_await line.with(
          [](Line&) -> Result<void> { return fail(ErrorKind::not_found, "whatever"); }));
      co_await world.caller(line, "next");
    }());
    EXPECT_EQ(world.connections, throws ? 3 : 2);
  }
}

TEST(DurableExclusive, what_f_throws_passes_unchanged_and_breaks_the_value) {
  ExclusiveWorld world;
  simulated_run(world.clock, [&]() -> Task<void> {
    auto line = world.durable();
    std::string caught;
    try {
      static_cast<void>(co_await line.with([](Line&) { throw std::out_of_range("mine"); }));
    } catch (const std::out_of_range& thrown) {
      caught = thrown.what();
    }
    EXPECT_EQ(caught, "mine");
    co_await world.caller(line, "next");
  }());
  EXPECT_EQ(world.connections, 2);
}

TEST(DurableExclusive, callers_that_waited_behind_an_attempt_share_its_failure) {
  ExclusiveWorld world;
  world.options.retry = std::nullopt;
  world.takes = 5s;
  world.refused = 1;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto line = world.durable();
    const WithOptions patient{.when_down = WhenDown::wait};
    for (const char* name : {"a", "b", "c"}) {
      asio::co_spawn(executor, world.caller(line, name), asio::detached);
    }
    asio::co_spawn(executor, world.caller(line, "patient", patient), asio::detached);
    static_cast<void>(co_await sleep_for(world.clock, 6s));
    EXPECT_EQ(world.seen, (Seen{"a=io", "b=io", "c=io"})) << "in the time of one attempt";
    static_cast<void>(co_await sleep_for(world.clock, 20s));
  }());
  EXPECT_EQ(world.seen.back(), "patient=ok");
  EXPECT_EQ(world.attempts, 2);
}

TEST(DurableExclusive, in_a_pause_a_caller_that_asked_to_fail_fails_behind_one_that_waits) {
  ExclusiveWorld world;
  world.options.retry = RetryOptions{.initial = 10s, .maximum = 10s};
  world.refused = 1;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto line = world.durable();
    const WithOptions patient{.when_down = WhenDown::wait};
    const WithOptions hasty{.when_down = WhenDown::fail};
    asio::co_spawn(executor, world.caller(line, "patient", patient), asio::detached);
    static_cast<void>(co_await sleep_for(world.clock, 1s));
    co_await world.caller(line, "hasty", hasty);
    EXPECT_EQ(world.seen, Seen{"hasty=retry"});
    static_cast<void>(co_await sleep_for(world.clock, 30s));
  }());
  EXPECT_EQ(world.seen.back(), "patient=ok");
}

TEST(DurableExclusive, more_than_max_waiters_are_refused_and_close_answers_the_others) {
  ExclusiveWorld world;
  world.options.max_waiters = 2;
  simulated_run(world.clock, [&]() -> Task<void> {
    const auto executor = co_await asio::this_coro::executor;
    auto line = world.durable();
    for (const char* name : {"a", "b", "c", "d"}) {
      asio::co_spawn(executor, world.caller(line, name), asio::detached);
    }
    static_cast<void>(co_await sleep_for(world.clock, 500ms));
    EXPECT_EQ(world.seen, Seen{"d=retry"});
    line.close();
    static_cast<void>(co_await sleep_for(world.clock, 10ms));
    EXPECT_EQ(world.seen, (Seen{"d=retry", "b=closed", "c=closed"}));
    static_cast<void>(co_await sleep_for(world.clock, 10s));
    EXPECT_EQ(world.seen.back(), "a=ok") << "what runs goes on to its end";
    co_await world.caller(line, "e");
  }());
  EXPECT_EQ(world.seen.back(), "e=closed");
  EXPECT_EQ(world.disposed, 1);
}

TEST(DurableExclusive, what_was_idle_for_long_is_probed_before_it_is_used) {
  ExclusiveWorld world;
  int probes = 0;
  bool answers = true;
  world.options.probe_after_idle = 1min;
  world.options.probe = [&](Line&) -> Async<void> {
    ++probes;
    if (!answers) co_return fail(ErrorKind::timeout, "no answer");
    co_return Status();
  };
  simulated_run(world.clock, [&]() -> Task<void> {
    auto line = world.durable();
    co_await world.caller(line, "a");
    co_await world.caller(line, "b");
    EXPECT_EQ(probes, 0) << "it was used a moment ago";
    static_cast<void>(co_await sleep_for(world.clock, 2min));
    co_await world.caller(line, "c");
    EXPECT_EQ(probes, 1);
    static_cast<void>(co_await sleep_for(world.clock, 2min));
    answers = false;
    co_await world.caller(line, "d");
    EXPECT_EQ(world.connections, 2) << "the dead one was found before f met it";
  }());
  EXPECT_EQ(world.seen, (Seen{"a=ok", "b=ok", "c=ok", "d=ok"}));
}

TEST(DurableExclusive, after_max_lifetime_a_value_is_replaced_between_two_users) {
  ExclusiveWorld world;
  world.options.max_lifetime = 100s;
  simulated_run(world.clock, [&]() -> Task<void> {
    auto line = world.durable();
    for (int i = 0; i < 50; ++i) {
      co_await world.caller(line, std::to_string(i));
      EXPECT_TRUE(i != 20 || world.connections == 1);
      static_cast<void>(co_await sleep_for(world.clock, 3s));
    }
  }());
  EXPECT_EQ(world.connections, 3) << "each for 90 to 100 s of 200";
  for (const auto& one : world.seen) EXPECT_NE(one.find("=ok"), std::string::npos) << one;
}

TEST(DurableExclusive, system_errors_are_errors_wherever_they_are_thrown) {
  for (const Access access : {Access::shared, Access::exclusive}) {
    ExclusiveWorld world;
    world.options.access = access;
    simulated_run(world.clock, [&]() -> Task<void> {
      auto refuse = []() -> Async<Line> {
        throw std::system_error(asio::error::connection_refused);
        co_return Line();
      };
      auto never = [](const Line&) { return false; };
      auto failing = Durable<Line>::create(refuse, never, world.options);
      const auto refused = co_await failing.with([](Line&) {});
      EXPECT_EQ(refused.error().kind(), ErrorKind::io) << refused.error().to_string();
      auto line = world.durable();
      auto cut = [](Line&) -> Async<void> {
        throw std::system_error(asio::error::make_error_code(asio::error::eof));
        co_return Status();
      };
      const auto lost = co_await line.with(cut);
      EXPECT_EQ(lost.error().kind(), ErrorKind::io) << lost.error().to_string();
      EXPECT_NE(lost.error().message().find("the line: the other side closed"), std::string::npos)
          << lost.error().to_string();
      co_await world.caller(line, "next");
    }());
    EXPECT_EQ(world.connections, 2) << "it is broken for whoever comes next";
    EXPECT_EQ(world.seen, Seen{"next=ok"});
  }
}

// Whatever it says: half a question may have been sent.
TEST(DurableExclusive, an_f_that_throws_a_system_error_of_any_kind_breaks_its_value) {
  ExclusiveWorld world;
  world.options.breaks_on = [](const Error&) { return false; };
  simulated_run(world.clock, [&]() -> Task<void> {
    auto line = world.durable();
    auto cut = [](Line&) -> Async<void> {
      throw std::system_error(std::make_error_code(std::errc::too_many_files_open));
      co_return Status();
    };
    const auto lost = co_await line.with(cut);
    EXPECT_EQ(lost.error().kind(), ErrorKind::exhausted) << lost.error().to_string();
    co_await world.caller(line, "next");
  }());
  EXPECT_EQ(world.connections, 2);
  EXPECT_EQ(world.seen, Seen{"next=ok"});
}

TEST(DurableExclusive, asios_errors_of_the_system_keep_their_kind) {
  const auto kind_of = [](const std::error_code& code) {
    return error_from_system(code, "asking").kind();
  };
  EXPECT_EQ(kind_of(asio::error::timed_out), ErrorKind::timeout);
  EXPECT_EQ(kind_of(asio::error::access_denied), ErrorKind::permission);
  EXPECT_EQ(kind_of(asio::error::no_descriptors), ErrorKind::exhausted);
  EXPECT_EQ(kind_of(asio::error::connection_reset), ErrorKind::io);
}

TEST(DurableExclusive, a_deadline_with_shared_access_cancels_f_and_breaks_nothing) {
  ExclusiveWorld world;
  world.options.access = Access::shared;
  simulated_run(world.clock, [&]() -> Task<void> {
    auto line = world.durable();
    auto f = [&](Line&) -> Async<void> { return sleep_for(world.clock, 1h); };
    const WithOptions soon{.deadline = 1s};
    const auto late = co_await line.with(soon, f);
    EXPECT_EQ(late.error().kind(), ErrorKind::outcome_unknown);
    EXPECT_EQ(world.clock.now(), SimulatedClock::kStart + 1s);
    static_cast<void>(co_await line.with([](Line&) {}));
  }());
  EXPECT_EQ(world.connections, 1);
  EXPECT_EQ(world.clock.pending_timers(), 0u);
}

}  // namespace
}  // namespace semper
