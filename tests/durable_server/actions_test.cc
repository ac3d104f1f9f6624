// Actions and stop: what happens after the commit, and never without one.
#include <algorithm>
#include <mutex>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

SERVER_SUITE(Actions);

// What actions and terminate() saw, in order.
class Seen {
 public:
  void add(std::string what) {
    std::lock_guard lock(mutex_);
    seen_.push_back(std::move(what));
  }
  std::vector<std::string> all() const {
    std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> seen_;
};

struct Actor {
  struct State {
    std::int64_t count = 0;
  };
  struct Add {
    std::int64_t by = 1;
    using Reply = std::int64_t;
  };
  struct Halt {
    using Reply = std::int64_t;
  };
  struct ThrowingAction {
    using Reply = std::int64_t;
  };
  struct ThrowAfterAction {
    using Reply = std::int64_t;
  };
  struct Stop {
    using Reply = std::int64_t;
  };
  struct StopQuietly {
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages =
      semper::Messages<Add, Halt, ThrowingAction, ThrowAfterAction, Stop, StopQuietly, Read>;

  explicit Actor(std::shared_ptr<Seen> where) : seen(std::move(where)) {}

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::int64_t> handle_call(const Add& m, State& s, Context&) {
    s.count += m.by;
    return Reply<std::int64_t>(s.count).then(tell("first")).then(tell("second"));
  }
  Outcome handle_cast(const Add& m, State& s, Context&) {
    s.count += m.by;
    return Outcome().then(tell("cast"));
  }
  Outcome handle_info(const Add& m, State& s, Context&) {
    s.count += m.by;
    return Outcome().then(tell("info"));
  }
  Reply<std::int64_t> handle_call(const Halt&, State& s, Context&) {
    return Reply<std::int64_t>(++s.count)
        .then(tell("before"))
        .then([](const State&) { return ActionFlow::halt; })
        .then(tell("never"));
  }
  Reply<std::int64_t> handle_call(const ThrowingAction&, State& s, Context&) {
    return Reply<std::int64_t>(++s.count)
        .then([](const State&) { throw std::runtime_error("an action that throws"); })
        .then(tell("after the throw"));
  }
  Reply<std::int64_t> handle_call(const ThrowAfterAction&, State& s, Context&) {
    auto reply = Reply<std::int64_t>(++s.count).then(tell("never"));
    throw std::runtime_error("no commit, no action");
    return reply;
  }
  Reply<std::int64_t> handle_call(const Stop&, State& s, Context&) {
    return Reply<std::int64_t>(++s.count).then(tell("last words")).stop("told to");
  }
  Outcome handle_cast(const Stop&, State& s, Context&) {
    ++s.count;
    return semper::stop("told to by cast");
  }
  Outcome handle_info(const Stop&, State& s, Context&) {
    ++s.count;
    return Outcome(semper::stop("told to by info")).then(tell("last info"));
  }
  Reply<std::int64_t> handle_call(const StopQuietly&, State& s, Context&) {
    ++s.count;
    return semper::stop("without an answer");
  }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s.count; }
  void terminate(const State& s, const std::string& reason) {
    seen->add("terminate " + reason + " " + std::to_string(s.count));
  }

  struct Tell {
    std::shared_ptr<Seen> to;
    std::string what;
    void operator()(const State& s) const { to->add(what + " " + std::to_string(s.count)); }
  };
  Tell tell(std::string what) { return {seen, std::move(what)}; }

  std::shared_ptr<Seen> seen;
};

using Lines = std::vector<std::string>;

// Actions of every shape, and one for a state that is not its own.
struct Shapes {
  using State = Actor::State;
  struct All {
    using Reply = std::int64_t;
  };
  struct Wrong {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<All, Wrong>;

  static inline Seen* told = nullptr;
  static void by_function(const State& s) { told->add("function " + std::to_string(s.count)); }

  explicit Shapes(std::shared_ptr<Seen> where) : seen(std::move(where)) { told = seen.get(); }
  Result<State> init(const EntityId&) { return State(); }
  Reply<std::int64_t> handle_call(const All&, State& s, Context&) {
    auto only_moved = std::make_unique<std::string>("moved");
    return Reply<std::int64_t>(++s.count)
        .then(s,
              [to = seen](const auto& after) { to->add("generic " + std::to_string(after.count)); })
        .then([to = seen, what = std::move(only_moved)](const State&) { to->add(*what); })
        .then(by_function)
        .then(s,
              [to = seen](auto after) noexcept { to->add("copy " + std::to_string(after.count)); })
        .then([](const State&) { return ActionFlow::halt; })
        .then(s, [to = seen](const auto&) { to->add("never"); });
  }
  Reply<std::int64_t> handle_call(const Wrong&, State& s, Context&) {
    ++s.count;
    return Reply<std::int64_t>(s.count).then([](const std::vector<std::string>&) {});
  }
  std::shared_ptr<Seen> seen;
};

SERVER_TEST(Actions, may_be_generic_moved_only_or_a_function) {
  auto seen = std::make_shared<Seen>();
  auto& server = *co_await world.serve(std::make_shared<Shapes>(seen));
  EXPECT_EQ(must(co_await server.ref<Shapes>("a").call(Shapes::All{})), 1);
  EXPECT_EQ(seen->all(), list("generic 1", "moved", "function 1", "copy 1"));
}

SERVER_TEST(Actions, one_for_another_state_fails_its_message_and_nothing_is_applied) {
  auto seen = std::make_shared<Seen>();
  auto& server = *co_await world.serve(std::make_shared<Shapes>(seen));
  const auto error = must_fail(co_await server.ref<Shapes>("a").call(Shapes::Wrong{}));
  EXPECT_EQ(error.kind(), ErrorKind::internal) << error.to_string();
  EXPECT_NE(error.message().find("another type than the entity's State"), std::string::npos);
  EXPECT_EQ(must(co_await server.ref<Shapes>("a").call(Shapes::All{})), 1);
}

SERVER_TEST(Actions, they_run_once_in_order_after_the_commit_with_the_committed_state) {
  auto seen = std::make_shared<Seen>();
  auto& server = *co_await world.serve(std::make_shared<Actor>(seen));
  must(co_await server.ref<Actor>("local").call(Actor::Add{2}));
  EXPECT_EQ(seen->all(), list("first 2", "second 2"));
  must(co_await world.ref<Actor>("queued").call(Actor::Add{3}));
  co_await world.eventually([&] { return seen->all().size() == 4; });
  EXPECT_EQ(seen->all(), list("first 2", "second 2", "first 3", "second 3"));
  co_await world.until_clean();
}

SERVER_TEST(Actions, those_of_a_batch_see_the_state_that_the_batch_committed) {
  auto actor = world.ref<Actor>("a");
  Batch<Actor> batch;
  batch.add(Actor::Add{1}).add(Actor::Add{10}).add(Actor::Add{100});
  must(co_await actor.cast(batch));
  auto seen = std::make_shared<Seen>();
  co_await world.serve(std::make_shared<Actor>(seen));
  co_await world.eventually([&] { return seen->all().size() == 3; });
  EXPECT_EQ(seen->all(), list("cast 111", "cast 111", "cast 111"));
}

SERVER_TEST(Actions, one_that_halts_ends_the_rest_of_its_callbacks_actions_only) {
  auto seen = std::make_shared<Seen>();
  auto& server = *co_await world.serve(std::make_shared<Actor>(seen));
  auto actor = server.ref<Actor>("a");
  must(co_await actor.call(Actor::Halt{}));
  must(co_await actor.cast(Actor::Add{1}));
  // It was promised to be durable, and perhaps waits in the queue.
  co_await world.eventually([&] { return seen->all().size() == 2; });
  EXPECT_EQ(seen->all(), list("before 1", "cast 2"));
}

SERVER_TEST(Actions, one_that_throws_is_logged_and_harms_nobody) {
  auto seen = std::make_shared<Seen>();
  auto& server = *co_await world.serve(std::make_shared<Actor>(seen));
  auto actor = server.ref<Actor>("a");
  EXPECT_EQ(must(co_await actor.call(Actor::ThrowingAction{})), 1);
  EXPECT_EQ(must(co_await actor.call(Actor::Add{1})), 2);
  const auto all = seen->all();
  EXPECT_EQ(std::count(all.begin(), all.end(), "after the throw 1"), 1);
  EXPECT_EQ(std::count(all.begin(), all.end(), "second 2"), 1);
  const auto log = world.logged();
  EXPECT_TRUE(std::any_of(log.begin(), log.end(), [](const std::string& line) {
    return line.find("an action that throws") != std::string::npos;
  }));
  EXPECT_EQ((co_await world.look(actor)).dead_letters, 0u);
}

SERVER_TEST(Actions, none_runs_where_the_callback_threw) {
  auto seen = std::make_shared<Seen>();
  auto& server = *co_await world.serve(std::make_shared<Actor>(seen));
  static_cast<void>(must_fail(co_await server.ref<Actor>("a").call(Actor::ThrowAfterAction{})));
  static_cast<void>(must_fail(co_await world.ref<Actor>("a").call(Actor::ThrowAfterAction{})));
  EXPECT_TRUE(seen->all().empty());
}

// What it wants to write is over the store's limits.
struct Greedy {
  using State = std::string;
  struct Grow {
    std::uint64_t bytes = 0;
    using Reply = std::uint64_t;
  };
  using Messages = semper::Messages<Grow>;
  explicit Greedy(std::shared_ptr<Seen> where) : seen(std::move(where)) {}
  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Grow& m, State& s, Context&) {
    s.resize(m.bytes);
    return Reply<std::uint64_t>(m.bytes).then(
        [to = seen](const State& state) { to->add(std::to_string(state.size())); });
  }
  std::shared_ptr<Seen> seen;
};

SERVER_TEST(Actions, none_runs_where_the_transaction_failed) {
  auto seen = std::make_shared<Seen>();
  auto& server = *co_await world.serve(std::make_shared<Greedy>(seen));
  auto greedy = server.ref<Greedy>("g");
  must(co_await greedy.call(Greedy::Grow{10}));
  const auto too_much = world.store().limits().transaction_bytes + 1;
  EXPECT_EQ(must_fail(co_await greedy.call(Greedy::Grow{too_much})).kind(), ErrorKind::exhausted);
  EXPECT_EQ(seen->all(), list("10"));
}

SERVER_TEST(Actions, a_priority_messages_actions_run_too) {
  auto seen = std::make_shared<Seen>();
  auto& server = *co_await world.serve(std::make_shared<Actor>(seen));
  auto actor = server.ref<Actor>("a");
  EXPECT_EQ(must(co_await actor.priority_call(Actor::Add{1})), 1);
  must(co_await actor.priority_cast(Actor::Add{1}));
  must(co_await actor.info(Actor::Add{1}));
  EXPECT_EQ(seen->all(), list("first 1", "second 1", "cast 2", "info 3"));
}

SERVER_TEST(Actions, stop_keeps_the_state_calls_terminate_and_the_next_message_works) {
  auto seen = std::make_shared<Seen>();
  auto& server = *co_await world.serve(std::make_shared<Actor>(seen));
  auto local = server.ref<Actor>("local");
  must(co_await local.cast(Actor::Add{4}));
  EXPECT_EQ(must(co_await local.call(Actor::Stop{})), 5);
  EXPECT_EQ(seen->all(), list("cast 4", "last words 5", "terminate told to 5"));
  EXPECT_EQ(must(co_await local.call(Actor::Read{})), 5);

  auto queued = world.ref<Actor>("queued");
  Batch<Actor> batch;
  batch.add(Actor::Add{7}).add(Actor::Stop{}).add(Actor::Add{1});
  must(co_await queued.cast(batch));
  co_await world.until_processed(queued.untyped());
  EXPECT_EQ(must(co_await queued.call(Actor::Read{})), 9);
  const auto all = seen->all();
  EXPECT_EQ(std::count(all.begin(), all.end(), "terminate told to by cast 8"), 1)
      << ::testing::PrintToString(all);
  co_await world.until_clean();
}

SERVER_TEST(Actions, a_stop_comes_after_its_actions_whichever_way_its_message_came) {
  auto seen = std::make_shared<Seen>();
  auto& server = *co_await world.serve(std::make_shared<Actor>(seen));
  const CallOptions patient{world.patience()};
  EXPECT_EQ(must(co_await server.ref<Actor>("local").call(Actor::Stop{}, patient)), 1);
  EXPECT_EQ(must(co_await server.ref<Actor>("urgent").priority_call(Actor::Stop{}, patient)), 1);
  EXPECT_EQ(must(co_await world.ref<Actor>("queued").call(Actor::Stop{}, patient)), 1);
  auto told = server.ref<Actor>("told");
  must(co_await told.info(Actor::Stop{}));
  co_await world.eventually([&] { return seen->all().size() == 8; });
  auto all = seen->all();
  const auto words = std::count(all.begin(), all.end(), "last words 1");
  EXPECT_EQ(words, 3) << ::testing::PrintToString(all);
  for (const auto& [before, after] : {std::pair("last words 1", "terminate told to 1"),
                                      std::pair("last info 1", "terminate told to by info 1")}) {
    const auto said = std::find(all.begin(), all.end(), before);
    const auto stopped = std::find(all.begin(), all.end(), after);
    EXPECT_TRUE(said < stopped && stopped != all.end()) << ::testing::PrintToString(all);
  }
  for (const char* id : {"local", "urgent", "queued", "told"}) {
    EXPECT_EQ(must(co_await world.ref<Actor>(id).call(Actor::Read{}, patient)), 1) << id;
  }
  co_await world.until_clean();
}

SERVER_TEST(Actions, a_call_that_stops_without_a_reply_has_its_effect) {
  auto seen = std::make_shared<Seen>();
  auto& server = *co_await world.serve(std::make_shared<Actor>(seen));
  auto actor = server.ref<Actor>("a");
  CallOptions hasty{std::chrono::milliseconds(100)};
  EXPECT_EQ(must_fail(co_await actor.call(Actor::StopQuietly{}, hasty)).kind(), ErrorKind::timeout);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return must(co_await actor.call(Actor::Read{})) == 1; });
  EXPECT_EQ(seen->all(), list("terminate without an answer 1"));
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
