// A fleet that is being upgraded: hosts of several programs on one store, of which none loses what
// another wrote, and none keeps from another what that one can do.
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(Versions);
SERVER_SUITE_ON(UnknownMessages, worlds_in(TimeKind::simulated));

struct Add {
  static constexpr std::string_view kName = "Add";
  std::int64_t by = 0;
  using Reply = std::int64_t;
};
struct Read {
  static constexpr std::string_view kName = "Read";
  using Reply = std::int64_t;
};
// Of the newer program.
struct Double {
  static constexpr std::string_view kName = "Double";
  using Reply = std::int64_t;
};
struct Hold {
  static constexpr std::string_view kName = "Hold";
  using Reply = std::int64_t;
};

// What all of them do.
template <class StateOf>
struct Sum {
  static constexpr std::string_view kName = "sum";
  using State = StateOf;
  Result<State> init(const EntityId&) { return State(); }
  Reply<std::int64_t> handle_call(const Add& m, State& s, Context&) { return s.value += m.by; }
  void handle_cast(const Add& m, State& s, Context&) { s.value += m.by; }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s.value; }
};

struct OldState {
  std::int64_t value = 0;
};
struct NewState {
  std::string unit = "EUR";
  std::int64_t value = 0;
};
struct WiderState {
  std::int64_t value = 0;
  std::string unit = "EUR";
};

struct OldSum : Sum<OldState> {
  using Messages = semper::Messages<Add, Read>;
};

struct NewSum : Sum<NewState> {
  static constexpr int kStateVersion = 2;
  using Messages = semper::Messages<Add, Read, Double, Hold>;
  using Sum<NewState>::handle_call;
  using Sum<NewState>::handle_cast;
  Result<State> upgrade(int, BytesView old) {
    SEMPER_TRY(const auto before, decode<OldState>(old));
    return State{"EUR", before.value};
  }
  Reply<std::int64_t> handle_call(const Double&, State& s, Context&) { return s.value *= 2; }
  void handle_cast(const Double&, State& s, Context&) { s.value *= 2; }
  Reply<std::int64_t> handle_call(const Hold&, State&, Context&) { return lock(); }
  Reply<std::int64_t> handle_locked(const Hold&, State& s, LockedContext&) {
    return s.value += 100;
  }
};

// The state of OldSum, and the messages of NewSum.
struct Talkative : Sum<OldState> {
  using Messages = semper::Messages<Add, Read, Double>;
  using Sum<OldState>::handle_call;
  using Sum<OldState>::handle_cast;
  Reply<std::int64_t> handle_call(const Double&, State& s, Context&) { return s.value *= 2; }
  void handle_cast(const Double&, State& s, Context&) { s.value *= 2; }
};

// A field more, and no version.
struct Wider : Sum<WiderState> {
  using Messages = semper::Messages<Add, Read>;
};

constexpr int kEntitiesOfBothHosts = 40;  // more than shards: some are in those of either host

std::string name_of(int number) {
  return "e" + std::to_string(number);
}

template <class B>
Task<void> make_all(Process& server) {
  for (int i = 0; i < kEntitiesOfBothHosts; ++i) {
    const Add add{i};
    must(co_await server.run(server.ref<B>(name_of(i)).call(add)));
  }
}

template <class B>
Task<void> cast_to_all(World& world, std::int64_t by) {
  for (int i = 0; i < kEntitiesOfBothHosts; ++i) {
    const Add add{by};
    must(co_await world.ref<B>(name_of(i)).cast(add));
  }
}

template <class B>
Task<void> expect_all(World& world, std::int64_t more) {
  for (int i = 0; i < kEntitiesOfBothHosts; ++i) {
    const auto entity = world.ref<B>(name_of(i));
    co_await world.until_processed(entity.untyped());
    const CallOptions patient{world.patience()};
    const Read read;
    EXPECT_EQ(must(co_await entity.call(read, patient)), i + more);
    const auto letters = must(co_await list_dead_letters(world.store(), entity.entity()));
    EXPECT_TRUE(letters.empty());
  }
}

SERVER_TEST(Versions, what_a_newer_host_wrote_is_worked_on_by_it_whosever_shard_it_is_in) {
  auto& newer = *co_await world.serve<NewSum>();
  co_await make_all<NewSum>(newer);
  auto& older = *co_await world.serve<OldSum>();
  co_await cast_to_all<NewSum>(world, 1'000);
  co_await expect_all<NewSum>(world, 1'000);
  co_await cast_to_all<NewSum>(world, 1'000);
  co_await expect_all<NewSum>(world, 2'000);
  EXPECT_EQ(older.host().statistics().failures, 0u);
  EXPECT_EQ(older.host().statistics().parked, 0u);
  co_await world.until_clean();
}

SERVER_TEST(Versions, an_older_host_works_on_what_it_knows_beside_newer_ones) {
  auto& older = *co_await world.serve<OldSum>();
  co_await make_all<OldSum>(older);
  co_await world.serve<NewSum>();
  co_await cast_to_all<OldSum>(world, 1'000);
  co_await expect_all<OldSum>(world, 1'000);
  EXPECT_GT(older.host().statistics().messages, static_cast<std::uint64_t>(kEntitiesOfBothHosts));
  co_await world.until_clean();
}

SERVER_TEST(Versions, messages_to_newer_states_wait_for_the_first_newer_host) {
  auto* newer = co_await world.serve<NewSum>();
  co_await make_all<NewSum>(*newer);
  must(co_await newer->run(newer->host().stop()));
  auto& older = *co_await world.serve<OldSum>();
  co_await cast_to_all<OldSum>(world, 1'000);
  // From the older host's process as well.
  for (int i = 0; i < kEntitiesOfBothHosts; ++i) {
    const Add add{1'000};
    must(co_await older.run(older.ref<OldSum>(name_of(i)).cast(add)));
  }
  co_await world.eventually([&]() -> Task<bool> {
    const auto view = co_await world.look(world.ref<OldSum>(name_of(0)));
    co_return view.needs == "version >= 2";
  });
  const Add one{1};
  const auto refused = co_await older.run(older.ref<OldSum>(name_of(0)).call(one));
  EXPECT_EQ(must_fail(refused).kind(), ErrorKind::unsupported);
  co_await world.serve<NewSum>();
  co_await expect_all<NewSum>(world, 2'000);
  EXPECT_EQ(older.host().statistics().failures, 0u);
  co_await world.until_clean();
}

SERVER_TEST(Versions, a_state_with_more_fields_finds_the_host_that_knows_them) {
  auto* wider = co_await world.serve<Wider>();
  co_await make_all<Wider>(*wider);
  must(co_await wider->run(wider->host().stop()));
  auto& older = *co_await world.serve<OldSum>();
  co_await cast_to_all<OldSum>(world, 1'000);
  co_await world.eventually([&] { return older.host().statistics().left_alone > 0; });
  co_await world.serve<Wider>();
  co_await expect_all<Wider>(world, 1'000);
  co_await cast_to_all<Wider>(world, 1'000);
  co_await expect_all<Wider>(world, 2'000);
  EXPECT_EQ(older.host().statistics().failures, 0u);
  co_await world.until_clean();
}

SERVER_TEST(Versions, a_message_that_a_host_does_not_know_waits_in_order_for_one_that_does) {
  auto& older = *co_await world.serve<OldSum>();
  for (int i = 0; i < kEntitiesOfBothHosts; ++i) {
    const auto entity = world.ref<NewSum>(name_of(i));
    Batch<NewSum> batch;
    batch.add<Add>(i).add<Double>().add<Add>(7);
    must(co_await entity.cast(std::move(batch)));
  }
  co_await world.eventually([&]() -> Task<bool> {
    const auto view = co_await world.look(world.ref<OldSum>(name_of(1)));
    co_return view.needs == "a host that takes cast Double" && view.queue_length == 2;
  });
  EXPECT_EQ(older.host().statistics().failures, 0u);
  co_await world.serve<Talkative>();
  for (int i = 0; i < kEntitiesOfBothHosts; ++i) {
    const auto entity = world.ref<Talkative>(name_of(i));
    co_await world.until_processed(entity.untyped());
    const CallOptions patient{world.patience()};
    const Read read;
    EXPECT_EQ(must(co_await entity.call(read, patient)), 2 * i + 7) << "in order";
    EXPECT_TRUE(must(co_await list_dead_letters(world.store(), entity.entity())).empty());
  }
  co_await world.until_clean();
}

SERVER_TEST(Versions, a_queue_that_no_one_host_knows_whole_is_processed_by_two_together) {
  // Talkative cannot read what NewSum wrote, OldSum's messages both know: of one state each.
  auto& talkative = *co_await world.serve<Talkative>();
  co_await make_all<Talkative>(talkative);
  struct Locking : Sum<OldState> {
    using Messages = semper::Messages<Add, Read, Hold>;
    using Sum<OldState>::handle_call;
    using Sum<OldState>::handle_cast;
    Reply<std::int64_t> handle_call(const Hold&, State& s, Context&) { return s.value += 100; }
    void handle_cast(const Hold&, State& s, Context&) { s.value += 100; }
  };
  co_await world.serve<Locking>();
  for (int i = 0; i < kEntitiesOfBothHosts; ++i) {
    const auto entity = world.ref<Locking>(name_of(i));
    std::vector<RawMessage> messages;
    for (const char* name : {"Hold", "Double", "Hold"}) {
      messages.push_back({name, encode(Double())});
    }
    must(co_await entity.untyped().cast(messages));
  }
  for (int i = 0; i < kEntitiesOfBothHosts; ++i) {
    const auto entity = world.ref<OldSum>(name_of(i));
    co_await world.until_processed(entity.untyped());
    const CallOptions patient{world.patience()};
    const Read read;
    EXPECT_EQ(must(co_await entity.call(read, patient)), 2 * (i + 100) + 100);
    EXPECT_TRUE(must(co_await list_dead_letters(world.store(), entity.entity())).empty());
  }
  co_await world.until_clean();
}

// A call for which the lock is held until it may end.
struct Gated : Sum<OldState> {
  using Messages = semper::Messages<Add, Read, Hold>;
  using Sum<OldState>::handle_call;
  Reply<std::int64_t> handle_call(const Hold&, State&, Context&) { return lock(); }
  Async<std::int64_t> wait(LockedContext& context) {
    while (!may_end) SEMPER_CO_TRY_STATUS(co_await sleep_for(context.clock(), 10ms));
    co_return 0;
  }
  asio::awaitable<Reply<std::int64_t>> handle_locked(const Hold&, State& s,
                                                     LockedContext& context) {
    holds = true;
    static_cast<void>(co_await wait(context));
    co_return s.value += 1;
  }
  std::atomic<bool> holds{false};
  std::atomic<bool> may_end{false};
};

SERVER_TEST(Versions, a_locked_result_of_an_older_state_is_given_up_for_the_newer_one) {
  auto gated = std::make_shared<Gated>();
  co_await world.serve(gated);
  const auto entity = world.ref<NewSum>("e");
  const Hold hold;
  std::vector<RawMessage> messages;
  messages.push_back({"Hold", encode(hold)});
  auto held = std::make_shared<Result<std::int64_t>>(0);
  const CallOptions patient{world.patience()};
  auto& newer = *co_await world.serve<NewSum>();
  auto& caller = *co_await world.process();
  asio::co_spawn(
      caller.executor(),
      [](Ref<NewSum> to, CallOptions options,
         std::shared_ptr<Result<std::int64_t>> out) -> Task<void> {
        const Hold message;
        *out = co_await to.call(message, options);
        if (*out && **out == 0) *out = fail(ErrorKind::internal, "zero");
      }(caller.ref<NewSum>("e"), patient, held),
      asio::detached);
  co_await world.eventually([&] { return gated->holds.load() || *held != 0; });
  if (!gated->holds) co_return;  // the newer host was first
  const Double twice;
  static_cast<void>(must(co_await newer.run(newer.ref<NewSum>("e").priority_call(twice))));
  gated->may_end = true;
  co_await world.eventually([&] { return *held != 0; });
  EXPECT_EQ(must(*held), 100) << "handled by the host that knows the state";
  const auto view = co_await world.look(entity);
  EXPECT_EQ(view.state_version, 2u);
  co_await world.until_clean();
}

SERVER_TEST(UnknownMessages, become_dead_letters_after_their_time_with_a_reason_and_not_before) {
  auto options = quick_options();
  options.unknown_message_wait = 5min;
  auto* first = co_await world.serve<OldSum>(std::make_shared<OldSum>(), options);
  const auto entity = world.ref<NewSum>("e");
  must(co_await entity.cast<Double>());
  const Add add{1};
  must(co_await entity.cast(add));
  must(co_await sleep_for(world.clock(), 4min));
  // A crash begins it anew.
  first->kill();
  co_await world.serve<OldSum>(std::make_shared<OldSum>(), options);
  must(co_await sleep_for(world.clock(), 4min));
  EXPECT_EQ(must(co_await entity.queue_length()), 2u);
  EXPECT_TRUE(must(co_await list_dead_letters(world.store(), entity.entity())).empty());
  co_await world.until_processed(entity.untyped());
  const auto letters = must(co_await list_dead_letters(world.store(), entity.entity()));
  EXPECT_EQ(letters.size(), 1u);
  if (!letters.empty()) {
    EXPECT_EQ(letters[0].message.name, "Double");
    EXPECT_NE(letters[0].reason.find("unknown_message_wait"), std::string::npos)
        << letters[0].reason;
    EXPECT_NE(letters[0].reason.find("it has Add, Read"), std::string::npos) << letters[0].reason;
  }
  const CallOptions patient{world.patience()};
  const Read read;
  EXPECT_EQ(must(co_await world.ref<OldSum>("e").call(read, patient)), 1);
  co_await world.until_clean();
}

SERVER_TEST(UnknownMessages,
            make_others_of_the_hosts_process_wait_in_order_and_are_refused_there_at_once) {
  auto options = quick_options();
  options.unknown_message_wait = 5min;
  auto& server = *co_await world.serve<OldSum>(std::make_shared<OldSum>(), options);
  const auto local = server.ref<NewSum>("e");
  const Double twice;
  EXPECT_EQ(must_fail(co_await server.run(local.call(twice))).kind(), ErrorKind::unsupported);
  EXPECT_EQ(must_fail(co_await server.run(local.cast(twice))).kind(), ErrorKind::unsupported);
  const auto entity = world.ref<NewSum>("e");
  must(co_await entity.cast(twice));
  const Add add{1};
  const CallOptions hasty{10s};
  EXPECT_EQ(must_fail(co_await server.run(local.call(add, hasty))).kind(), ErrorKind::timeout);
  const CallOptions patient{20min};
  EXPECT_EQ(must(co_await server.run(local.call(add, patient))), 2) << "both were in the queue";
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
