// The harness bites: behaviours and programs with a planted bug are found, and their right
// counterparts pass every run.
#include <gmock/gmock.h>
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include "semper/testing/harness.h"
#include "testing/harness/harness_test_support.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Something was tried.
constexpr std::size_t kSomeRuns = 30;

std::string all_of(const HarnessReport& report) {
  std::string text;
  for (const auto& finding : report.findings) text += finding.run + ": " + finding.what + "\n";
  return text;
}

// Transfers between purses, by one message and the transaction's own cast.
void add_sum_check(Harness& harness, const std::int64_t& put_in) {
  harness.invariant<Purse>([](const Purse::State& purse) -> Status {
    if (purse.coins >= 0) return {};
    return fail(ErrorKind::internal, std::to_string(purse.coins) + " coins");
  });
  harness.check("no coin is made or lost", [&put_in](Harness& h) -> Status {
    std::int64_t sum = 0;
    for (const auto& [id, purse] : h.states<Purse>()) sum += purse.coins;
    if (sum == put_in) return {};
    return fail(ErrorKind::internal, std::to_string(sum) + " instead of " + std::to_string(put_in));
  });
}

// Put in, once, whatever becomes of the answer: the state says whether it was.
void fill(Harness& harness, std::int64_t& put_in) {
  const auto purse = harness.ref<Purse>("a");
  static_cast<void>(harness.call<Purse::Put>(purse, 10));
  static_cast<void>(harness.settle());
  const auto filled = harness.state(purse);
  put_in = filled ? filled->coins : 0;
}

TEST(HarnessPasses, a_transfer_in_one_transaction_passes) {
  Harness harness;
  harness.serve<Purse>();
  std::int64_t put_in = 0;
  add_sum_check(harness, put_in);
  const auto report = harness.explore([&] {
    fill(harness, put_in);
    static_cast<void>(harness.call<Purse::Send>(harness.ref<Purse>("a"), "b", 4));
  });
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_GT(report.runs, kSomeRuns);
  EXPECT_EQ(report.possible, report.runs);
  EXPECT_THAT(report.to_string(), HasSubstr(" runs, 0 findings"));
}

// Bug: two casts of a program are two commits, and it may be lost between them.
TEST(HarnessFinds, an_invariant_that_a_crash_between_two_casts_breaks_is_found) {
  Harness harness;
  harness.serve<Purse>();
  std::int64_t put_in = 0;
  add_sum_check(harness, put_in);
  const auto scenario = [&] {
    fill(harness, put_in);
    static_cast<void>(harness.run("move 4", [](Tenant tenant) -> Async<void> {
      const auto from = semper::ref<Purse>(tenant, "a");
      const auto to = semper::ref<Purse>(tenant, "b");
      SEMPER_CO_TRY_STATUS(co_await from.call<Purse::Put>(-4));
      SEMPER_CO_TRY_STATUS(co_await to.call<Purse::Put>(4));
      co_return Status{};
    }));
  };
  const auto report = harness.explore(scenario);
  ASSERT_FALSE(report.passed());
  EXPECT_THAT(all_of(report), AllOf(HasSubstr("crash@"), HasSubstr("no coin is made or lost")));
  // And its name makes the same run again, alone.
  const auto& first = report.findings.front();
  EXPECT_THAT(first.repeat,
              AllOf(HasSubstr("HARNESS_ONLY=" + first.run), HasSubstr("HarnessFinds")));
  harness.only(first.run);
  const auto again = harness.explore(scenario);
  EXPECT_EQ(again.runs, 1u);
  ASSERT_THAT(again.findings, SizeIs(1));
  EXPECT_EQ(again.findings[0].what, first.what);
  EXPECT_EQ(again.findings[0].history, first.history);
  EXPECT_THAT(again.to_string(), AllOf(HasSubstr("is lost here"), HasSubstr("test    move 4")));
}

// Bug: the state is a global variable.
std::int64_t g_total = 0;
struct Global {
  static constexpr std::string_view kName = "Global";
  using State = std::int64_t;
  struct Add {
    std::int64_t by = 0;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add& m, State&, Context&) { return g_total += m.by; }
};

TEST(HarnessFinds, a_state_that_is_kept_in_a_global_variable_is_found) {
  Harness harness;
  harness.serve<Global>();
  const auto report = harness.explore(
      [&] { static_cast<void>(harness.call<Global::Add>(harness.ref<Global>("a"), 2)); });
  ASSERT_FALSE(report.passed());
  EXPECT_THAT(all_of(report), HasSubstr("depends on something outside of its state"));
}

// Bug: the state is a member of the behaviour, which ends with its process and knows no rollback.
struct Member {
  static constexpr std::string_view kName = "Member";
  using State = std::int64_t;
  struct Next {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Next>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Next&, State& state, Context&) { return state = ++last_; }
  std::int64_t last_ = 0;
};

TEST(HarnessFinds, a_state_that_is_kept_in_the_behaviour_is_found) {
  Harness harness;
  harness.serve<Member>();
  std::int64_t highest = 0;
  harness.before_each([&] { highest = 0; });
  const auto report = harness.explore([&] {
    for (int i = 0; i < 3; ++i) {
      const auto number = harness.call<Member::Next>(harness.ref<Member>("a"));
      if (!number) continue;
      if (*number <= highest) throw std::runtime_error("a number was given out again");
      highest = *number;
    }
  });
  ASSERT_FALSE(report.passed());
  EXPECT_THAT(all_of(report), AllOf(HasSubstr("crash@"), HasSubstr("given out again")));
}

// A world outside: letters that are sent.
struct Letters {
  static constexpr std::string_view kName = "Letters";
  enum class Sends { in_callback, in_action };
  using State = std::int64_t;
  struct Write {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Write>;

  Letters(Sends how, std::function<void()> send) : how_(how), send_(std::move(send)) {}
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Write&, State& state, Context&) {
    ++state;
    if (how_ == Sends::in_callback) send_();
    Reply<std::int64_t> reply(state);
    if (how_ == Sends::in_callback) return reply;
    return std::move(reply).then([send = send_](const State&) { send(); });
  }

  const Sends how_;
  const std::function<void()> send_;
};

// `outside`: where letters are counted.
HarnessReport write_letters(Letters::Sends how, Harness& harness, std::function<void()> send,
                            const std::function<std::int64_t()>& sent) {
  harness.serve<Letters>([how, send] { return std::make_shared<Letters>(how, send); });
  harness.check("no letter without its state", [sent](Harness& h) -> Status {
    const auto written = h.state(h.ref<Letters>("a"));
    const std::int64_t wanted = written ? *written : 0;
    if (sent() <= wanted) return {};
    return fail(ErrorKind::internal,
                std::to_string(sent()) + " letters, " + std::to_string(wanted) + " in the state");
  });
  return harness.explore(
      [&harness] { static_cast<void>(harness.call<Letters::Write>(harness.ref<Letters>("a"))); });
}

TEST(HarnessFinds, an_effect_in_a_callback_that_belongs_in_an_action_is_found) {
  Harness harness;
  const auto report = write_letters(
      Letters::Sends::in_callback, harness, [&] { harness.happened("a letter"); },
      [&] { return static_cast<std::int64_t>(harness.times("a letter")); });
  ASSERT_FALSE(report.passed());
  EXPECT_THAT(all_of(report), HasSubstr("happens inside a transaction"));
}

TEST(HarnessFinds, an_effect_in_a_callback_is_found_although_nobody_reports_it) {
  Harness harness;
  std::int64_t letters = 0;
  harness.before_each([&] { letters = 0; });
  const auto report = write_letters(
      Letters::Sends::in_callback, harness, [&] { ++letters; }, [&] { return letters; });
  ASSERT_FALSE(report.passed());
  EXPECT_THAT(all_of(report), AllOf(HasSubstr("@"), HasSubstr("no letter without its state")));
}

TEST(HarnessPasses, an_effect_in_an_action_passes) {
  Harness harness;
  const auto report = write_letters(
      Letters::Sends::in_action, harness, [&] { harness.happened("a letter"); },
      [&] { return static_cast<std::int64_t>(harness.times("a letter")); });
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_GT(report.runs, kSomeRuns);
}

// Bug: the caller is answered by reply() and by what is returned.
struct Twice {
  static constexpr std::string_view kName = "Twice";
  enum class When { never, at_once, later };
  struct State {
    ReplyToken caller = {};
  };
  struct Ask {
    using Reply = std::int64_t;
  };
  struct Again {};
  using Messages = semper::Messages<Ask, Again>;
  explicit Twice(When when) : when_(when) {}
  Result<State> init(const EntityId&) { return State{}; }
  Reply<std::int64_t> handle_call(const Ask&, State& state, Context& context) {
    if (when_ == When::at_once) context.reply(context.reply_token(), 1);
    if (when_ == When::later) state.caller = context.reply_token();
    return 2;
  }
  void handle_cast(const Again&, State& state, Context& context) {
    context.reply(state.caller, 3);
    state.caller = {};
  }
  const When when_;
};

HarnessReport ask(Twice::When when) {
  Harness harness({.paths = {HarnessPath::queued}});
  harness.serve<Twice>([when] { return std::make_shared<Twice>(when); });
  return harness.explore([&] {
    const auto to = harness.ref<Twice>("a");
    static_cast<void>(harness.call<Twice::Ask>(to));
    static_cast<void>(harness.cast<Twice::Again>(to));
  });
}

TEST(HarnessFinds, a_reply_that_is_given_twice_is_found) {
  EXPECT_THAT(all_of(ask(Twice::When::at_once)), HasSubstr("answered twice"));
  EXPECT_THAT(all_of(ask(Twice::When::later)), HasSubstr("answered twice"));
  const auto once = ask(Twice::When::never);
  EXPECT_TRUE(once.passed()) << once;
}

// A card is charged in handle_locked, by a provider that knows its orders, or does not.
struct Order {
  static constexpr std::string_view kName = "Order";
  using State = std::string;  // the receipt
  struct Pay {
    using Reply = std::string;
  };
  using Messages = semper::Messages<Pay>;
  explicit Order(std::function<void(const std::string&)> charge) : charge_(std::move(charge)) {}
  Result<State> init(const EntityId&) { return State{}; }
  Reply<std::string> handle_call(const Pay&, State& state, Context&) {
    if (!state.empty()) return state;
    return semper::lock();
  }
  Task<Reply<std::string>> handle_locked(const Pay&, State& state, LockedContext& context) {
    charge_(context.id().id);
    static_cast<void>(co_await sleep_for(context.clock(), 30s));  // the provider takes its time
    state = "paid";
    co_return state;
  }
  const std::function<void(const std::string&)> charge_;
};

HarnessReport pay(Harness& harness, std::function<void(const std::string&)> charge) {
  harness.serve<Order>([charge] { return std::make_shared<Order>(charge); });
  harness.check("a card is charged once", [](Harness& h) -> Status {
    const auto times = h.times("17 is charged");
    if (times <= 1) return {};
    return fail(ErrorKind::internal, "it was charged " + std::to_string(times) + " times");
  });
  return harness.explore(
      [&harness] { static_cast<void>(harness.call<Order::Pay>(harness.ref<Order>("17"))); });
}

TEST(HarnessFinds, an_outside_effect_without_an_idempotency_key_is_found) {
  Harness harness;
  const auto report =
      pay(harness, [&](const std::string& order) { harness.happened(order + " is charged"); });
  ASSERT_FALSE(report.passed());
  EXPECT_THAT(all_of(report), AllOf(HasSubstr("crash@"), HasSubstr("charged 2 times")));
}

TEST(HarnessPasses, an_outside_effect_with_an_idempotency_key_passes) {
  Harness harness;
  const auto report = pay(harness, [&](const std::string& order) {
    if (harness.times(order + " is charged") == 0) harness.happened(order + " is charged");
  });
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_GT(report.runs, kSomeRuns);
  std::cout << report;
}

TEST(HarnessFinds, an_expectation_of_the_scenario_that_fails_in_one_run_only_is_found) {
  Harness harness;
  harness.serve<Purse>();
  HarnessReport report;
  const auto scenario = [&] {
    const auto put = harness.call<Purse::Put>(harness.ref<Purse>("a"), 1);
    EXPECT_TRUE(put) << "an answer is lost now and then";
  };
  ::testing::TestPartResultArray failures;
  {
    ::testing::ScopedFakeTestPartResultReporter catches(
        ::testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
    report = harness.explore(scenario);
  }
  EXPECT_GT(failures.size(), 0);
  EXPECT_THAT(failures.GetTestPartResult(0).message(), HasSubstr("in the run "));
}

TEST(HarnessFinds, a_bound_on_the_runs_is_kept_and_reported) {
  Harness harness({.runs_maximum = 10});
  harness.serve<Purse>();
  const auto report = harness.explore(
      [&] { static_cast<void>(harness.call<Purse::Put>(harness.ref<Purse>("a"), 1)); });
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_EQ(report.runs, 10u);
  EXPECT_GT(report.possible, kSomeRuns);
  EXPECT_THAT(report.to_string(), HasSubstr("10 of "));
}

// What blocks its thread is said to be out of reach.
struct Blocking {
  static constexpr std::string_view kName = "Blocking";
  using State = std::int64_t;
  struct Work {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Work>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Work&, State&, Context&) { return semper::lock(); }
  Reply<std::int64_t> handle_locked(const Work&, State& state, LockedContext&) { return ++state; }
};

TEST(HarnessSays, places_where_no_fault_can_strike_are_named) {
  Harness harness;
  harness.serve<Blocking>();
  const auto report = harness.explore(
      [&] { static_cast<void>(harness.call<Blocking::Work>(harness.ref<Blocking>("a"))); });
  EXPECT_TRUE(report.passed()) << report;
  EXPECT_THAT(report.to_string(), HasSubstr("handle_locked of Blocking for Work does not await"));
}

TEST(HarnessSays, a_message_that_was_set_aside_is_reported) {
  Harness harness({.patience = 1min});
  harness.serve<Purse>();
  harness.serve<Order>([] {
    return std::make_shared<Order>([](const std::string&) { throw std::runtime_error("no"); });
  });
  const auto report = harness.explore(
      [&] { static_cast<void>(harness.cast<Purse::Add>(harness.ref<Purse>("a"), -1)); });
  EXPECT_THAT(all_of(report), HasSubstr("dead letters"));
}

}  // namespace
}  // namespace semper::testing
