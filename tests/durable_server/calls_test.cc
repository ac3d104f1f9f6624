// Calls: answered once, with what was committed, whichever way they take.
#include <algorithm>
#include <mutex>
#include <numeric>
#include <utility>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(Calls);
// Cases that wait for longer than a test should.
SERVER_SUITE_ON(LongCalls, worlds_in(TimeKind::simulated));

// Answers, refuses, and keeps callers waiting until somebody tells it to answer them.
struct Desk {
  struct State {
    std::vector<ReplyToken> waiting;
    std::int64_t asked = 0;
  };
  struct Refuse {
    int kind = 0;
    using Reply = std::int64_t;
  };
  struct Wait {
    using Reply = std::string;
  };
  struct AnswerAll {
    std::string with;
    using Reply = std::uint64_t;  // how many waited
  };
  struct RefuseAll {};
  struct Asked {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Refuse, Wait, AnswerAll, RefuseAll, Asked>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::int64_t> handle_call(const Refuse& m, State& s, Context&) {
    ++s.asked;
    return fail(static_cast<ErrorKind>(m.kind), "the desk is closed on Sundays");
  }
  Reply<std::string> handle_call(const Wait&, State& s, Context& context) {
    ++s.asked;
    s.waiting.push_back(context.reply_token());
    return no_reply;
  }
  Reply<std::uint64_t> handle_call(const AnswerAll& m, State& s, Context& context) {
    for (const auto& token : s.waiting) context.reply(token, m.with);
    return std::exchange(s.waiting, {}).size();
  }
  void handle_cast(const AnswerAll& m, State& s, Context& context) {
    for (const auto& token : std::exchange(s.waiting, {})) context.reply(token, m.with);
  }
  void handle_cast(const RefuseAll&, State& s, Context& context) {
    for (const auto& token : std::exchange(s.waiting, {})) {
      context.reply_error(token, Error(ErrorKind::permission, "not today"));
    }
  }
  Reply<std::int64_t> handle_call(const Asked&, State& s, Context&) { return s.asked; }
};

Desk::AnswerAll answer_all(std::string with) {
  return {std::move(with)};
}

SERVER_TEST(Calls, an_inline_call_counts_and_reads_back_what_it_wrote) {
  auto& server = *co_await world.serve<Counter>();
  auto counter = server.ref<Counter>("inline");
  EXPECT_EQ(must(co_await counter.call(Counter::Add{2})), 2);
  EXPECT_EQ(must(co_await counter.call(Counter::Add{3})), 5);
  EXPECT_EQ(must(co_await counter.call(Counter::Read{})), 5);
  must(co_await counter.cast(Counter::Add{4}));
  EXPECT_EQ(must(co_await counter.call(Counter::Read{})), 9);
  EXPECT_EQ(must(co_await counter.queue_length()), 0u);
  co_await world.until_clean();
}

SERVER_TEST(Calls, a_host_that_was_not_started_answers_its_own_process) {
  auto& server = *co_await world.process();
  server.host().serve<Counter>();
  auto counter = server.ref<Counter>("inline");
  EXPECT_EQ(must(co_await counter.call(Counter::Add{2})), 2);
  EXPECT_EQ(must(co_await counter.call(Counter::Read{})), 2);
}

SERVER_TEST(Calls, a_queued_call_is_answered_with_what_was_committed) {
  co_await world.serve<Counter>();
  auto counter = world.ref<Counter>("queued");
  EXPECT_EQ(must(co_await counter.call(Counter::Add{2})), 2);
  EXPECT_EQ(must(co_await counter.call(Counter::Add{3})), 5);
  EXPECT_EQ(must(co_await counter.call(Counter::Read{})), 5);
  co_await world.until_clean();
}

SERVER_TEST(Calls, a_call_waits_for_a_host_that_comes_later) {
  auto counter = world.ref<Counter>("early");
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      CallOptions patient{world.patience()};
      EXPECT_EQ(must(co_await counter.call(Counter::Add{2}, patient)), 2);
    } else {
      co_await world.eventually(
          [&]() -> Task<bool> { co_return must(co_await counter.queue_length()) == 1; });
      co_await world.serve<Counter>();
    }
  });
  co_await world.until_clean();
}

SERVER_TEST(Calls, inline_and_queued_calls_of_many_callers_are_each_counted_once) {
  auto& server = *co_await world.serve<Counter>();
  auto inside = server.ref<Counter>("both");
  auto outside = world.ref<Counter>("both");
  constexpr int kCallers = 16;
  constexpr int kCalls = 10;
  std::vector<std::int64_t> seen;
  std::mutex mutex;
  CallOptions patient{world.patience()};
  co_await world.in_parallel(kCallers, [&](int who) -> Task<void> {
    for (int i = 0; i < kCalls; ++i) {
      auto n = co_await (who % 2 == 0 ? inside : outside).call(Counter::Add{1}, patient);
      std::lock_guard lock(mutex);
      seen.push_back(must(std::move(n)));
    }
  });
  std::sort(seen.begin(), seen.end());
  std::vector<std::int64_t> expected(kCallers * kCalls);
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_EQ(seen, expected);
  co_await world.until_clean();
}

SERVER_TEST(Calls, an_error_that_was_replied_comes_back_with_its_kind_and_message) {
  auto& server = *co_await world.serve<Desk>();
  for (const bool inline_call : {true, false}) {
    auto desk = inline_call ? server.ref<Desk>("d") : world.ref<Desk>("d");
    for (const auto kind : {ErrorKind::not_found, ErrorKind::exhausted, ErrorKind::conflict,
                            ErrorKind::internal, ErrorKind::timeout}) {
      const Error error = must_fail(co_await desk.call(Desk::Refuse{static_cast<int>(kind)}));
      EXPECT_EQ(error.kind(), kind);
      EXPECT_NE(error.message().find("closed on Sundays"), std::string::npos) << error.to_string();
    }
  }
  EXPECT_EQ(must(co_await server.ref<Desk>("d").call(Desk::Asked{})), 10) << "the state is kept";
  const auto view = co_await world.look(world.ref<Desk>("d"));
  EXPECT_EQ(view.dead_letters, 0u) << "a refusal is an answer, not a failure";
  co_await world.until_clean();
}

SERVER_TEST(Calls, callers_that_wait_are_answered_by_a_later_message) {
  auto& server = *co_await world.serve<Desk>();
  auto inside = server.ref<Desk>("d");
  auto outside = world.ref<Desk>("d");
  CallOptions patient{world.patience()};
  co_await world.in_parallel(3, [&](int who) -> Task<void> {
    if (who < 2) {
      const auto& desk = who == 0 ? inside : outside;
      EXPECT_EQ(must(co_await desk.call(Desk::Wait{}, patient)), "now");
      co_return;
    }
    co_await world.eventually([&]() -> Task<bool> {
      co_return must(co_await outside.call(Desk::Asked{}, patient)) == 2;
    });
    const auto answer = answer_all("now");
    EXPECT_EQ(must(co_await outside.call(answer, patient)), 2u);
  });
  co_await world.until_clean();
}

SERVER_TEST(Calls, callers_that_wait_get_an_error_that_is_sent_later) {
  auto& server = *co_await world.serve<Desk>();
  auto inside = server.ref<Desk>("d");
  CallOptions patient{world.patience()};
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      const Error error = must_fail(co_await inside.call(Desk::Wait{}, patient));
      EXPECT_EQ(error.kind(), ErrorKind::permission);
      EXPECT_NE(error.message().find("not today"), std::string::npos);
      co_return;
    }
    co_await world.eventually(
        [&]() -> Task<bool> { co_return must(co_await inside.call(Desk::Asked{})) == 1; });
    must(co_await inside.cast(Desk::RefuseAll{}));
  });
  co_await world.until_clean();
}

SERVER_TEST(Calls, a_call_that_times_out_leaves_its_message_and_no_reply_keys) {
  auto counter = world.ref<Counter>("nobody home");
  CallOptions hasty{20ms};
  const Error error = must_fail(co_await counter.call(Counter::Add{2}, hasty));
  EXPECT_EQ(error.kind(), ErrorKind::timeout);
  EXPECT_NE(error.message().find("nobody home"), std::string::npos);
  EXPECT_NE(error.message().find(type_name<Counter>()), std::string::npos);
  EXPECT_EQ(must(co_await counter.queue_length()), 1u);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return (co_await world.rows(session_space())).empty(); });
  co_await world.serve<Counter>();
  co_await world.until_processed(counter.untyped());
  EXPECT_EQ(must(co_await counter.call(Counter::Read{})), 2) << "processed later, as in gen_server";
  co_await world.until_clean();
}

SERVER_TEST(Calls, a_priority_call_that_would_be_answered_later_is_refused_and_changes_nothing) {
  auto& server = *co_await world.serve<Desk>();
  auto desk = server.ref<Desk>("d");
  const Error error = must_fail(co_await desk.priority_call(Desk::Wait{}));
  EXPECT_EQ(error.kind(), ErrorKind::unsupported) << error.to_string();
  EXPECT_EQ(must(co_await desk.call(Desk::Asked{})), 0);
}

// Of a kind that the runner itself tries again after.
SERVER_TEST(Calls, a_priority_call_that_answers_with_a_conflict_runs_once) {
  auto& server = *co_await world.serve<Desk>();
  auto desk = server.ref<Desk>("d");
  const Desk::Refuse refuse{static_cast<int>(ErrorKind::conflict)};
  const Error error = must_fail(co_await desk.priority_call(refuse));
  EXPECT_EQ(error.kind(), ErrorKind::conflict) << error.to_string();
  EXPECT_EQ(must(co_await desk.call(Desk::Asked{})), 1);
}

SERVER_TEST(Calls, an_answer_to_a_caller_that_gave_up_leaves_nothing_behind) {
  auto& server = *co_await world.serve<Desk>();
  auto desk = world.ref<Desk>("d");
  CallOptions hasty{50ms};
  EXPECT_EQ(must_fail(co_await desk.call(Desk::Wait{}, hasty)).kind(), ErrorKind::timeout);
  EXPECT_EQ(must_fail(co_await server.ref<Desk>("d").call(Desk::Wait{}, hasty)).kind(),
            ErrorKind::timeout);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return must(co_await desk.call(Desk::Asked{})) == 2; });
  const auto late = answer_all("too late");
  must(co_await desk.cast(late));
  co_await world.until_processed(desk.untyped());
  co_await world.until_clean();
  EXPECT_TRUE((co_await world.rows(session_space())).empty());
}

SERVER_TEST(Calls, an_answer_after_the_callers_session_has_gone_leaves_nothing_behind) {
  auto& server = *co_await world.serve<Desk>();
  auto desk = world.ref<Desk>("d");
  CallOptions hasty{50ms};
  EXPECT_EQ(must_fail(co_await desk.call(Desk::Wait{}, hasty)).kind(), ErrorKind::timeout);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return (co_await world.rows(session_space())).empty(); });
  const auto late = answer_all("too late");
  must(co_await server.ref<Desk>("d").cast(late));
  co_await world.until_processed(desk.untyped());
  co_await world.until_clean();
  EXPECT_TRUE((co_await world.rows(session_space())).empty());
}

SERVER_TEST(LongCalls, one_that_waits_for_ever_waits_longer_than_any_default) {
  auto counter = world.ref<Counter>("slow");
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      CallOptions forever{kForever};
      EXPECT_EQ(must(co_await counter.call(Counter::Add{2}, forever)), 2);
    } else {
      must(co_await sleep_for(world.clock(), 1h));
      co_await world.serve<Counter>();
    }
  });
}

SERVER_TEST(LongCalls, the_default_timeout_is_five_seconds) {
  const auto start = world.clock().now();
  auto counter = world.ref<Counter>("nobody");
  EXPECT_EQ(must_fail(co_await counter.call(Counter::Read{})).kind(), ErrorKind::timeout);
  const auto took = world.clock().now() - start;
  EXPECT_GE(took, 5s);
  EXPECT_LT(took, 6s);
}

SERVER_TEST(LongCalls, what_a_killed_caller_left_behind_is_removed) {
  auto& caller = *co_await world.process();
  auto desk = caller.ref<Desk>("d");
  co_await world.serve<Desk>();
  asio::co_spawn(
      caller.executor(),
      [](Ref<Desk> to) -> Task<void> {
        CallOptions forever{kForever};
        static_cast<void>(co_await to.call(Desk::Wait{}, forever));
      }(desk),
      asio::detached);
  auto outside = world.ref<Desk>("d");
  co_await world.eventually(
      [&]() -> Task<bool> { co_return must(co_await outside.call(Desk::Asked{})) == 1; });
  caller.kill();
  const auto late = answer_all("is anybody there?");
  must(co_await outside.cast(late));
  co_await world.until_processed(outside.untyped());
  co_await world.until_clean();
}

SERVER_TEST(Calls, a_second_caller_is_answered_when_the_loop_that_collects_replies_ends) {
  co_await world.serve<Desk>();
  auto desk = world.ref<Desk>("d");
  auto& doomed = *world.loop(world.store());
  CallOptions forever{kForever};
  // The first call's loop collects the replies of both.
  asio::co_spawn(
      doomed.executor(),
      [](Ref<Desk> to) -> Task<void> {
        CallOptions for_ever{kForever};
        static_cast<void>(co_await to.call(Desk::Wait{}, for_ever));
      }(desk),
      asio::detached);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return must(co_await desk.call(Desk::Asked{})) == 1; });
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      EXPECT_EQ(must(co_await desk.call(Desk::Wait{}, forever)), "at last");
      co_return;
    }
    co_await world.eventually(
        [&]() -> Task<bool> { co_return must(co_await desk.call(Desk::Asked{})) == 2; });
    doomed.kill();
    const auto answer = answer_all("at last");
    must(co_await desk.cast(answer));
  });
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
