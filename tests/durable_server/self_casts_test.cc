// What an entity sends to itself: it comes, once, behind what was there before and before whatever
// comes after.
#include <algorithm>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(SelfCasts);

// Step writes its number down and sends the next one to itself.
struct Walker {
  using State = std::vector<std::string>;
  struct Step {
    std::int64_t left = 0;
    using Reply = std::int64_t;
  };
  struct Fan {  // that many notes at once, and a step
    std::int64_t notes = 0;
  };
  struct Note {
    std::string text;
    using Reply = std::uint64_t;
  };
  struct LockAndStep {
    std::int64_t left = 0;
    using Reply = std::uint64_t;
  };
  struct SendLocked {
    std::int64_t left = 0;
  };
  struct ThrowOnce {};
  struct Forever {};
  struct Lines {
    using Reply = std::vector<std::string>;
  };
  using Messages =
      semper::Messages<Step, Fan, Note, LockAndStep, SendLocked, ThrowOnce, Forever, Lines>;

  Result<State> init(const EntityId&) { return State(); }

  static void send_step(std::int64_t left, Context& context) {
    context.cast(semper::ref<Walker>(context.tenant(), context.id().id), Step{left});
  }
  static void step(std::int64_t left, State& s, Context& context) {
    s.push_back(std::to_string(left));
    if (left > 0) send_step(left - 1, context);
  }
  Reply<std::int64_t> handle_call(const Step& m, State& s, Context& context) {
    step(m.left, s, context);
    return m.left;
  }
  void handle_cast(const Step& m, State& s, Context& context) { step(m.left, s, context); }
  void handle_info(const Step& m, State& s, Context& context) { step(m.left, s, context); }

  void handle_cast(const Fan& m, State&, Context& context) {
    auto self = semper::ref<Walker>(context.tenant(), context.id().id);
    for (std::int64_t i = 0; i < m.notes; ++i) {
      const Note note{std::to_string(i)};
      context.cast(self, note);
    }
  }
  Reply<std::uint64_t> handle_call(const Note& m, State& s, Context&) {
    s.push_back(m.text);
    return s.size();
  }
  void handle_cast(const Note& m, State& s, Context&) { s.push_back(m.text); }

  Reply<std::uint64_t> handle_call(const LockAndStep& m, State& s, Context& context) {
    s.push_back("lock");
    send_step(m.left, context);
    return lock();
  }
  Reply<std::uint64_t> handle_locked(const LockAndStep&, State& s, LockedContext&) {
    s.push_back("locked");
    return s.size();
  }

  Outcome handle_cast(const SendLocked&, State&, Context&) { return lock(); }
  Task<void> handle_locked(const SendLocked& m, State& s, LockedContext& context) {
    auto self = semper::ref<Walker>(*store, context.id().id);
    const Step next{m.left};
    must(co_await self.cast(next));
    s.push_back("sent");
  }

  void handle_cast(const ThrowOnce&, State& s, Context& context) {
    send_step(0, context);
    if (++throws < 3) throw std::runtime_error("not yet");
    s.push_back("thrown");
  }

  void handle_cast(const Forever&, State& s, Context& context) {
    if (clock != nullptr) clock->advance(1ms);  // or simulated time would stand still
    if (s.empty()) s.push_back("round");
    ++rounds;
    if (!enough) {
      context.cast(semper::ref<Walker>(context.tenant(), context.id().id), Forever{});
    }
  }

  Reply<std::vector<std::string>> handle_call(const Lines&, State& s, Context&) { return s; }

  std::optional<Store> store;  // for handle_locked
  SimulatedClock* clock = nullptr;
  std::atomic<int> throws{0};
  std::atomic<int> rounds{0};
  std::atomic<bool> enough{false};
};

std::shared_ptr<Walker> endless_walker(World& world) {
  auto walker = std::make_shared<Walker>();
  walker->clock = dynamic_cast<SimulatedClock*>(&world.clock());
  return walker;
}
Walker::Note note_of(std::string text) {
  return {std::move(text)};
}

Task<std::vector<std::string>> lines_of(World& world, Ref<Walker> walker) {
  co_await world.until_processed(walker.untyped());
  const CallOptions patient{world.patience()};
  co_return must(co_await walker.call(Walker::Lines{}, patient));
}

SERVER_TEST(SelfCasts, a_chain_of_them_is_processed_to_its_end) {
  auto& server = *co_await world.serve<Walker>();
  for (const bool local : {false, true}) {
    auto walker = local ? server.ref<Walker>("local") : world.ref<Walker>("queued");
    must(co_await walker.cast(Walker::Step{5}));
    EXPECT_EQ(co_await lines_of(world, walker), list("5", "4", "3", "2", "1", "0"));
    EXPECT_EQ(must(co_await walker.queue_length()), 0u);
  }
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, what_a_call_sends_comes_before_later_calls) {
  auto& server = *co_await world.serve<Walker>();
  for (const bool local : {false, true}) {
    auto walker = local ? server.ref<Walker>("local") : world.ref<Walker>("queued");
    EXPECT_EQ(must(co_await walker.call(Walker::Step{2})), 2);
    const auto after = note_of("after");
    must(co_await walker.call(after));
    // The step from 1 to 0 was sent by the message before, perhaps while the call was on its way.
    const auto lines = co_await lines_of(world, walker);
    EXPECT_EQ(lines.size(), 4u);
    const auto place = [&](const char* text) {
      return std::find(lines.begin(), lines.end(), text) - lines.begin();
    };
    EXPECT_EQ(place("2"), 0);
    EXPECT_LT(place("1"), place("after"));
    EXPECT_LT(place("1"), place("0"));
  }
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, a_local_call_after_one_that_sent_sees_what_was_sent) {
  auto& server = *co_await world.serve<Walker>();
  auto walker = server.ref<Walker>("w");
  for (int i = 0; i < 20; ++i) {
    must(co_await walker.call(Walker::Step{1}));
    const auto lines = must(co_await walker.call(Walker::Lines{}));
    EXPECT_EQ(lines.size(), static_cast<std::size_t>(2 * i + 2));
  }
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, of_many_callers_at_once_come_each_once) {
  auto& server = *co_await world.serve<Walker>();
  constexpr int kCallers = 16;
  const CallOptions patient{world.patience()};
  co_await world.in_parallel(kCallers, [&](int who) -> Task<void> {
    auto walker = who % 2 == 0 ? server.ref<Walker>("w") : world.ref<Walker>("w");
    must(co_await walker.call(Walker::Step{4}, patient));
  });
  const auto lines = co_await lines_of(world, world.ref<Walker>("w"));
  EXPECT_EQ(lines.size(), static_cast<std::size_t>(5 * kCallers));
  for (const char* number : {"4", "3", "2", "1", "0"}) {
    EXPECT_EQ(std::count(lines.begin(), lines.end(), number), kCallers) << number;
  }
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, many_of_one_callback_keep_their_order) {
  auto& server = *co_await world.serve<Walker>();
  for (const bool local : {false, true}) {
    auto walker = local ? server.ref<Walker>("local") : world.ref<Walker>("queued");
    must(co_await walker.cast(Walker::Fan{300}));
    const auto lines = co_await lines_of(world, walker);
    EXPECT_EQ(lines.size(), 300u);
    for (std::size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i], std::to_string(i));
  }
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, of_the_callback_that_takes_the_lock_come_behind_the_locked_part) {
  co_await world.serve<Walker>();
  auto walker = world.ref<Walker>("w");
  const CallOptions patient{world.patience()};
  must(co_await walker.call(Walker::LockAndStep{1}, patient));
  EXPECT_EQ(co_await lines_of(world, walker), list("lock", "locked", "1", "0"));
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, from_handle_locked_come_behind_it) {
  auto behaviour = std::make_shared<Walker>();
  auto& server = *co_await world.process();
  behaviour->store = server.store();
  server.host().serve(behaviour);
  must(co_await server.run(server.host().start()));
  for (const bool local : {false, true}) {
    auto walker = local ? server.ref<Walker>("local") : world.ref<Walker>("queued");
    must(co_await walker.cast(Walker::SendLocked{2}));
    // Where a result is refused by chance, the message is handled again.
    co_await world.eventually([&]() -> Task<bool> {
      const auto lines = co_await lines_of(world, walker);
      co_return !lines.empty() && lines.back() == "0";
    });
    EXPECT_EQ(co_await lines_of(world, walker), list("sent", "2", "1", "0"));
  }
  behaviour->store.reset();
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, of_infos_are_processed) {
  auto& server = *co_await world.serve<Walker>();
  auto walker = server.ref<Walker>("w");
  must(co_await walker.info(Walker::Step{2}));
  EXPECT_EQ(co_await lines_of(world, walker), list("2", "1", "0"));
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, of_a_run_that_failed_are_not_sent) {
  co_await world.serve<Walker>();
  auto walker = world.ref<Walker>("w");
  must(co_await walker.cast(Walker::ThrowOnce{}));
  EXPECT_EQ(co_await lines_of(world, walker), list("thrown", "0"));
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, of_a_process_that_takes_nothing_from_queues_are_left_to_those_that_do) {
  ServeOptions only_own;
  only_own.consume = ServeOptions::Consume::no;
  auto& other =
      *co_await world.serve<Walker>(std::make_shared<Walker>(), quick_options(), only_own);
  auto walker = other.ref<Walker>("w");
  EXPECT_EQ(must(co_await walker.call(Walker::Step{1})), 1);
  EXPECT_EQ(must(co_await walker.queue_length()), 1u);
  co_await world.serve<Walker>();
  co_await world.until_processed(walker.untyped());
  const CallOptions patient{world.patience()};
  const auto after = note_of("after");
  must(co_await walker.call(after, patient));
  EXPECT_EQ(co_await lines_of(world, walker), list("1", "0", "after"));
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, a_chain_goes_on_in_another_process_when_its_own_dies) {
  auto first = endless_walker(world);
  auto& dies = *co_await world.serve<Walker>(first);
  auto walker = world.ref<Walker>("w");
  must(co_await walker.cast(Walker::Forever{}));
  co_await world.eventually([&] { return first->rounds > 5; });
  dies.kill();
  auto second = endless_walker(world);
  co_await world.serve<Walker>(second);
  co_await world.eventually([&] { return second->rounds > 5; });
  second->enough = true;
  EXPECT_EQ(co_await lines_of(world, walker), list("round"));
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, an_endless_chain_keeps_neither_callers_waiting_nor_other_entities) {
  auto behaviour = endless_walker(world);
  auto& server = *co_await world.serve<Walker>(behaviour);
  must(co_await world.ref<Walker>("endless").cast(Walker::Forever{}));
  co_await world.eventually([&] { return behaviour->rounds > 100; });
  const CallOptions patient{world.patience()};
  for (int i = 0; i < 10; ++i) {
    must(co_await server.ref<Walker>("endless").call(Walker::Lines{}, patient));
    must(co_await world.ref<Walker>("endless").call(Walker::Lines{}, patient));
    must(co_await world.ref<Walker>("other").call(Walker::Lines{}, patient));
  }
  EXPECT_FALSE(behaviour->enough);
  behaviour->enough = true;
  co_await world.until_processed(world.ref<Walker>("endless").untyped());
  co_await world.until_clean();
}

SERVER_TEST(SelfCasts, a_host_stops_in_the_middle_of_an_endless_chain) {
  auto behaviour = endless_walker(world);
  auto& server = *co_await world.serve<Walker>(behaviour);
  must(co_await world.ref<Walker>("endless").cast(Walker::Forever{}));
  co_await world.eventually([&] { return behaviour->rounds > 20; });
  must(co_await server.run(server.host().stop()));
  const int rounds = behaviour->rounds;
  must(co_await sleep_for(world.clock(), world.poll_interval()));
  EXPECT_EQ(behaviour->rounds, rounds);
  EXPECT_EQ(must(co_await world.ref<Walker>("endless").queue_length()), 1u);
}

}  // namespace
}  // namespace semper::testing
