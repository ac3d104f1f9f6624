// atomically: several entities change at once or not at all, in their turn, whoever works on them.
#include "semper/server/atomically.h"

#include <atomic>
#include <optional>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(Atomically);
SERVER_SUITE_ON(AtomicallyInTime, worlds_in(TimeKind::simulated));
SERVER_SUITE_ON(SmallAtomically, worlds_in(TimeKind::simulated));

using Counters = std::span<std::int64_t* const>;

Async<std::int64_t> move_one(Atomic&, std::int64_t& from, std::int64_t& to) {
  --from;
  ++to;
  co_return from;
}

AtomicallyOptions within(Duration timeout) {
  AtomicallyOptions options;
  options.timeout = timeout;
  return options;
}
AtomicallyOptions overtaking(Duration timeout) {
  AtomicallyOptions options = within(timeout);
  options.queue = AtomicallyOptions::Queue::overtakes;
  return options;
}

Task<std::int64_t> value_of(Ref<Counter> counter) {
  co_return must(co_await counter.call(Counter::Read{}));
}

Task<bool> is_there(World& world, EntityId id) {
  const auto view = co_await inspect(world.store(), std::move(id));
  if (!view && view.error().kind() != ErrorKind::not_found) must(Result<EntityView>(view));
  co_return view.has_value();
}

// Its hosts are asked to let somebody by: the row of an order (docs/formats.md).
Task<bool> is_held(World& world, EntityId id) {
  const auto orders = entity_range(id, 0);
  const auto rows = co_await world.rows(orders);
  co_return !rows.empty();
}

// The lock is held until the door is open.
struct Vault {
  using State = std::int64_t;
  struct Work {};
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Work, Read>;

  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Work&, State&, Context&) { return lock(); }
  Task<void> handle_locked(const Work&, State& s, LockedContext& context) {
    ++entered;
    while (!door_is_open) static_cast<void>(co_await sleep_for(context.clock(), 2ms));
    s += 100;
  }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s; }

  std::atomic<bool> door_is_open{false};
  std::atomic<int> entered{0};
};

SERVER_TEST(Atomically, two_entities_of_two_kinds_change_together) {
  auto& server = *co_await world.serve<Counter>();
  server.host().serve<Diary>();
  auto counter = world.ref<Counter>("c");
  auto diary = world.ref<Diary>("d");
  must(co_await counter.call(Counter::Add{41}));
  const auto both = [](Atomic&, std::int64_t& number,
                       std::vector<std::string>& lines) -> Async<std::string> {
    lines.push_back("now " + std::to_string(++number));
    co_return lines.back();
  };
  EXPECT_EQ(must(co_await atomically(world.store(), std::tuple(counter, diary), both)), "now 42");
  EXPECT_EQ(co_await value_of(counter), 42);
  EXPECT_EQ(must(co_await diary.call<Diary::Lines>()), list("now 42"));
  co_await world.until_clean();
}

SERVER_TEST(Atomically, entities_that_are_not_there_begin_with_init_and_need_no_host) {
  auto ann = world.ref<Counter>("ann");
  auto ben = world.ref<Counter>("ben");
  EXPECT_EQ(must(co_await atomically(world.store(), std::tuple(ann, ben), move_one)), -1);
  co_await world.serve<Counter>();
  EXPECT_EQ(co_await value_of(ann), -1);
  EXPECT_EQ(co_await value_of(ben), 1);
}

SERVER_TEST(Atomically, what_the_function_refuses_or_throws_leaves_nothing_behind) {
  co_await world.serve<Counter>();
  auto ann = world.ref<Counter>("ann");
  auto ben = world.ref<Counter>("ben");
  must(co_await ann.call(Counter::Add{7}));
  const auto refuse = [&](Atomic& tx, std::int64_t& a, std::int64_t& b) -> Async<void> {
    a = b = 1000;
    tx.cast(ben, Counter::Add{500});
    tx.transaction().set("note", "of it");
    co_return fail(ErrorKind::exhausted, "insufficient funds");
  };
  const auto error = must_fail(co_await atomically(world.store(), std::tuple(ann, ben), refuse));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted);
  EXPECT_EQ(error.message(), "insufficient funds");
  const auto throws = [&](Atomic& tx, std::int64_t& a, std::int64_t& b) -> Async<void> {
    a = b = 1000;
    tx.cast(ben, Counter::Add{500});
    throw std::runtime_error("out of the function");
    co_return Status{};
  };
  bool has_thrown = false;
  try {
    static_cast<void>(co_await atomically(world.store(), std::tuple(ann, ben), throws));
  } catch (const std::runtime_error& thrown) {
    has_thrown = std::string(thrown.what()) == "out of the function";
  }
  EXPECT_TRUE(has_thrown);
  EXPECT_EQ(co_await value_of(ann), 7);
  EXPECT_FALSE(co_await is_there(world, ben.entity()));
  const auto note = [](Transaction& tx) -> Async<std::optional<Bytes>> {
    co_return co_await tx.get("note");
  };
  EXPECT_FALSE(must(co_await world.store().transact(note)));
  co_await world.until_clean();
}

SERVER_TEST(Atomically, messages_queued_before_are_handled_before) {
  auto ann = world.ref<Counter>("ann");
  auto ben = world.ref<Counter>("ben");
  for (int i = 0; i < 20; ++i) must(co_await ben.cast(Counter::Add{1}));
  std::optional<std::int64_t> seen;
  const auto look = [&](Atomic&, std::int64_t& a, std::int64_t& b) -> Async<void> {
    seen = b;
    ++a;
    co_return Status{};
  };
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      const auto patient = within(1min);
      must(co_await atomically(world.store(), std::tuple(ann, ben), look, patient));
    } else {
      must(co_await sleep_for(world.clock(), 20ms));
      co_await world.serve<Counter>();
    }
  });
  EXPECT_EQ(seen, 20);
  EXPECT_EQ(co_await value_of(ann), 1);
}

// Its queue has no end.
struct EndlessQueue {
  using State = std::int64_t;
  struct Again {};
  using Messages = semper::Messages<Again>;
  explicit EndlessQueue(World* of = nullptr)
      : clock(of != nullptr ? dynamic_cast<SimulatedClock*>(&of->clock()) : nullptr) {}
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Again& m, State& s, Context& context) {
    if (clock != nullptr) clock->advance(1ms);  // or simulated time would stand still
    ++s;
    if (!enough) context.cast(semper::ref<EndlessQueue>(context.tenant(), context.id().id), m);
  }
  SimulatedClock* const clock;
  std::atomic<bool> enough{false};
};

SERVER_TEST(Atomically, it_does_not_wait_for_what_was_queued_after_it_was_asked) {
  world.allow(2min);
  auto behaviour = std::make_shared<EndlessQueue>(&world);
  co_await world.serve<EndlessQueue>(behaviour);
  auto ann = world.ref<Counter>("ann");
  auto endless = world.ref<EndlessQueue>("e");
  const EndlessQueue::Again again;
  must(co_await endless.cast(again));
  const auto patient = within(20s);
  const auto done = co_await atomically(world.store(), std::tuple(ann, endless), move_one, patient);
  behaviour->enough = true;
  must(Result<std::int64_t>(done));
  co_await world.until_processed(endless.untyped());
}

SERVER_TEST(Atomically, a_queue_that_nobody_serves_is_named_and_can_be_overtaken) {
  auto ann = world.ref<Counter>("ann");
  auto ben = world.ref<Counter>("ben");
  for (int i = 0; i < 3; ++i) must(co_await ben.cast(Counter::Add{10}));
  const auto brief = within(50ms);
  const auto error =
      must_fail(co_await atomically(world.store(), std::tuple(ann, ben), move_one, brief));
  EXPECT_EQ(error.kind(), ErrorKind::timeout);
  EXPECT_NE(error.message().find("3"), std::string::npos) << error.message();
  EXPECT_NE(error.message().find(ben.entity().to_string()), std::string::npos) << error.message();
  const auto urgent = overtaking(1min);
  EXPECT_EQ(must(co_await atomically(world.store(), std::tuple(ann, ben), move_one, urgent)), -1);
  co_await world.serve<Counter>();
  co_await world.until_processed(ben.untyped());
  EXPECT_EQ(co_await value_of(ben), 31);
}

SERVER_TEST(Atomically, a_lock_is_waited_for_and_its_holder_named) {
  auto behaviour = std::make_shared<Vault>();
  auto& server = *co_await world.serve<Vault>(behaviour);
  auto ann = world.ref<Counter>("ann");
  auto vault = world.ref<Vault>("v");
  const Vault::Work work;
  must(co_await vault.cast(work));
  co_await world.eventually([&] { return behaviour->entered == 1; });
  for (const auto& brief : {within(50ms), overtaking(50ms)}) {
    const auto error =
        must_fail(co_await atomically(world.store(), std::tuple(ann, vault), move_one, brief));
    EXPECT_EQ(error.kind(), ErrorKind::timeout);
    EXPECT_NE(error.message().find(server.host().name()), std::string::npos) << error.message();
    EXPECT_NE(error.message().find(vault.entity().to_string()), std::string::npos)
        << error.message();
  }
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      const auto patient = within(1min);
      must(co_await atomically(world.store(), std::tuple(ann, vault), move_one, patient));
    } else {
      must(co_await sleep_for(world.clock(), 30ms));
      behaviour->door_is_open = true;
    }
  });
  EXPECT_EQ(must(co_await vault.call(Vault::Read{})), 101) << "beside the holder's result";
}

// Large ones lie beside the header, which alone says that they have changed.
SERVER_TEST(Atomically, a_host_reads_what_it_had_in_memory_again) {
  auto& server = *co_await world.serve<Diary>();
  auto near = server.ref<Diary>("d");
  auto far = world.ref<Diary>("d");
  auto other = world.ref<Diary>("other");
  const std::string large(10'000, 'x');
  must(co_await near.call<Diary::Note>(large));
  for (int i = 0; i < 5; ++i) {
    must(co_await near.call<Diary::Note>("near"));
    const auto add = [&](Atomic&, std::vector<std::string>& lines,
                         std::vector<std::string>& others) -> Async<void> {
      lines[0][static_cast<std::size_t>(i)] = 'y';
      others.push_back("far");
      co_return Status{};
    };
    must(co_await atomically(world.store(), std::tuple(far, other), add));
    const auto lines = must(co_await near.call<Diary::Lines>());
    EXPECT_EQ(lines.size(), static_cast<std::size_t>(2 + i));
    EXPECT_EQ(lines[0].substr(0, 5), std::string(static_cast<std::size_t>(i) + 1, 'y') +
                                         std::string(static_cast<std::size_t>(4 - i), 'x'));
  }
  EXPECT_EQ(must(co_await other.call<Diary::Lines>()).size(), 5u);
}

SERVER_TEST(Atomically, calls_over_the_same_entities_in_every_order_do_not_wait_for_each_other) {
  auto& first = *co_await world.serve<Counter>();
  auto& second = *co_await world.serve<Counter>();
  constexpr int kCallers = 6;
  constexpr int kRounds = 8;
  co_await world.in_parallel(kCallers, [&](int who) -> Task<void> {
    auto& process = who % 2 == 0 ? first : second;
    const auto rounds = [&]() -> Task<void> {
      const auto patient = within(2min);
      for (int i = 0; i < kRounds; ++i) {
        const int from = (who + i) % 3;
        std::vector<Ref<Counter>> refs;
        refs.push_back(process.ref<Counter>(std::to_string(from)));
        refs.push_back(process.ref<Counter>(std::to_string((from + 1 + who % 2) % 3)));
        const auto move = [](Atomic&, Counters states) -> Async<void> {
          --*states[0];
          ++*states[1];
          co_return Status{};
        };
        must(co_await atomically(process.store(), refs, move, patient));
        must(co_await refs[0].cast(Counter::Add{0}));
      }
    };
    co_await process.run(rounds());
  });
  std::int64_t sum = 0;
  for (int i = 0; i < 3; ++i) sum += co_await value_of(world.ref<Counter>(std::to_string(i)));
  EXPECT_EQ(sum, 0);
  co_await world.until_clean();
}

SERVER_TEST(Atomically,
            messages_go_out_with_the_commit_in_their_order_also_to_the_entities_themselves) {
  auto& server = *co_await world.serve<Diary>();
  server.host().serve<Counter>();
  auto diary = world.ref<Diary>("d");
  auto counter = world.ref<Counter>("c");
  const auto send = [&](Atomic& tx, std::int64_t& number,
                        std::vector<std::string>& lines) -> Async<void> {
    number += 5;
    lines.push_back("state");
    const auto one = note("one");
    const auto two = note("two");
    tx.cast(diary, one);
    tx.cast(counter, Counter::Add{1});
    tx.cast(diary, two);
    tx.transaction().set("beside", "it");
    co_return Status{};
  };
  must(co_await atomically(world.store(), std::tuple(counter, diary), send));
  co_await world.until_processed(diary.untyped());
  co_await world.until_processed(counter.untyped());
  EXPECT_EQ(must(co_await diary.call<Diary::Lines>()), list("state", "one", "two"));
  EXPECT_EQ(co_await value_of(counter), 6);
  co_await world.until_clean();
}

// Each thousandth message has the length of its queue looked up, and the same commit changes that
// entity.
SERVER_TEST(Atomically, as_many_messages_as_one_likes_go_to_the_entities_themselves) {
  static_assert(kQueueCheckInterval == 1'000);
  co_await world.serve<Counter>();
  auto ann = world.ref<Counter>("ann");
  auto ben = world.ref<Counter>("ben");
  const auto send = [&](Atomic& tx, std::int64_t& a, std::int64_t& b) -> Async<void> {
    a += 1'000'000;
    b += 1;
    for (int i = 0; i < 600; ++i) tx.cast(ann, Counter::Add{1});
    tx.cast(ben, Counter::Add{1});
    for (int i = 0; i < 600; ++i) tx.cast(ann, Counter::Add{1});
    co_return Status{};
  };
  for (int i = 0; i < 3; ++i) {
    must(co_await atomically(world.store(), std::tuple(ann, ben), send));
  }
  co_await world.until_processed(ann.untyped());
  co_await world.until_processed(ben.untyped());
  EXPECT_EQ(co_await value_of(ann), 3'003'600);
  EXPECT_EQ(co_await value_of(ben), 6);
  co_await world.until_clean();
}

// Its attempts take longer than the time between two commits of the host.
SERVER_TEST(Atomically, an_entity_that_is_always_busy_lets_it_by) {
  world.allow(2min);
  auto& server = *co_await world.serve<Counter>();
  auto busy = server.ref<Counter>("busy");
  auto other = server.ref<Counter>("other");
  std::atomic<bool> is_over = false;
  std::atomic<int> attempts = 0;
  const auto slowly = [&](Atomic&, std::int64_t& a, std::int64_t& b) -> Async<void> {
    ++attempts;
    SEMPER_CO_TRY_STATUS(co_await sleep_for(world.clock(), 30ms));
    a += 1'000'000;
    ++b;
    co_return Status{};
  };
  co_await world.in_parallel(3, [&](int who) -> Task<void> {
    if (who == 0) {
      const auto from = world.ref<Counter>("busy");
      const auto to = world.ref<Counter>("other");
      const auto patient = within(20s);
      const auto done = co_await atomically(world.store(), std::tuple(from, to), slowly, patient);
      is_over = true;
      must(Result<void>(done));
      co_return;
    }
    const auto hammer = [&]() -> Task<void> {
      while (!is_over) {
        must(co_await busy.call(Counter::Add{1}));
        must(co_await sleep_for(world.clock(), 1ms));
      }
    };
    co_await server.run(hammer());
  });
  EXPECT_GT(attempts.load(), 1);
  EXPECT_GE(co_await value_of(world.ref<Counter>("busy")), 1'000'000);
  EXPECT_EQ(must(co_await other.call(Counter::Read{})), 1);
  EXPECT_FALSE(co_await is_held(world, busy.entity()));
}

// The row by which it asked to be let by stays, and is heeded for its time only.
SERVER_TEST(AtomicallyInTime, a_process_that_ends_while_it_is_let_by_holds_nobody_up_for_long) {
  world.allow(2min);
  auto& server = *co_await world.serve<Counter>();
  auto busy = server.ref<Counter>("busy");
  auto& doomed = *co_await world.process();
  std::atomic<bool> is_let_by = false;
  std::atomic<bool> is_over = false;
  std::atomic<int> handled = 0;
  const auto wait = [&](Atomic&, std::int64_t& a) -> Async<void> {
    ++a;
    SEMPER_CO_TRY_STATUS(co_await sleep_for(world.clock(), 30ms));
    const bool is_held_for_it = co_await is_held(world, busy.entity());
    if (is_held_for_it) {
      is_let_by = true;
      SEMPER_CO_TRY_STATUS(co_await sleep_for(world.clock(), 1h));
    }
    co_return Status{};
  };
  const auto doom = [&]() -> Task<void> {
    const auto patient = within(1h);
    const auto alone = doomed.ref<Counter>("busy");
    static_cast<void>(co_await atomically(doomed.store(), std::tuple(alone), wait, patient));
  };
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      asio::co_spawn(doomed.executor(), doom(), asio::detached);
      co_await world.eventually([&] { return is_let_by.load(); });
      const int before = handled;
      must(co_await sleep_for(world.clock(), 50ms));
      EXPECT_LE(handled - before, 1) << "it is let by";
      doomed.kill();
      co_await world.eventually([&] { return handled > before + 20; });
      is_over = true;
      co_return;
    }
    const CallOptions patient{1min};
    const auto hammer = [&]() -> Task<void> {
      while (!is_over) {
        must(co_await busy.call(Counter::Add{1}, patient));
        ++handled;
        must(co_await sleep_for(world.clock(), 1ms));
      }
    };
    co_await server.run(hammer());
  });
  EXPECT_FALSE(co_await is_held(world, busy.entity())) << "the host has taken the row away";
}

// Without a host: the next one takes it away.
SERVER_TEST(AtomicallyInTime, what_a_process_that_ended_had_asked_for_is_waited_for_once) {
  const auto ann = world.ref<Counter>("ann");
  const Bytes place = entity_key(ann.entity(), 0) + '\x14';
  const Bytes for_a_second("\0\0\0\0\0\0\0\1\0\0\0\0\x82\x03\x19\x03\xe8", 17);
  co_await world.put(place, for_a_second);
  EXPECT_TRUE(co_await is_held(world, ann.entity()));
  const auto add = [](Atomic&, std::int64_t& a) -> Async<std::int64_t> { co_return ++a; };
  const MonotonicTime began = world.clock().now();
  EXPECT_EQ(must(co_await atomically(world.store(), std::tuple(ann), add)), 1);
  const Duration waited = world.clock().now() - began;
  EXPECT_GE(waited, 1s);
  EXPECT_LE(waited, 2s);
  EXPECT_FALSE(co_await is_held(world, ann.entity()));
  const MonotonicTime again = world.clock().now();
  EXPECT_EQ(must(co_await atomically(world.store(), std::tuple(ann), add)), 2);
  EXPECT_LE(world.clock().now() - again, 500ms);
}

SERVER_TEST(AtomicallyInTime, an_unknown_outcome_is_told_and_nothing_is_done_twice) {
  std::shared_ptr<FaultyBackend> faults;
  const Store store = co_await world.open_faulty(faults);
  auto ann = semper::ref<Counter>(store, "ann");
  auto ben = semper::ref<Counter>(store, "ben");
  // The store can be asked: the marker tells.
  int runs = 0;
  const auto known = [&](Atomic&, std::int64_t& a, std::int64_t& b) -> Async<void> {
    if (++runs == 1) faults->script({CommitFault::unknown_applied});
    --a;
    ++b;
    co_return Status{};
  };
  must(co_await atomically(store, std::tuple(ann, ben), known));
  // It cannot.
  const auto unknown = [&](Atomic&, std::int64_t& a, std::int64_t& b) -> Async<void> {
    ++runs;
    a -= 10;
    b += 10;
    faults->script({CommitFault::unknown_applied});
    StoreFaults away;
    away.snapshot_refused = 1;
    faults->set_faults(away);
    co_return Status{};
  };
  runs = 0;
  const auto patient = within(10min);
  const auto error = must_fail(co_await atomically(store, std::tuple(ann, ben), unknown, patient));
  EXPECT_EQ(error.kind(), ErrorKind::outcome_unknown);
  EXPECT_EQ(runs, 1);
  faults->calm();
  co_await world.serve<Counter>();
  EXPECT_EQ(co_await value_of(world.ref<Counter>("ann")), -11);
  EXPECT_EQ(co_await value_of(world.ref<Counter>("ben")), 11);
}

// States of two programs.
struct Aged {
  static constexpr std::string_view kName = "aged";
  using State = std::int64_t;
  using Messages = semper::Messages<>;
  Result<State> init(const EntityId&) { return 1; }
};
struct Renewed {
  static constexpr std::string_view kName = "aged";
  static constexpr int kStateVersion = 2;
  struct State {
    std::int64_t value = 0;
    std::string unit = "EUR";
  };
  using Messages = semper::Messages<>;
  Result<State> init(const EntityId&) { return State(); }
  Result<State> upgrade(int, BytesView old) {
    SEMPER_TRY(const auto value, decode<std::int64_t>(old));
    return State{value * 100, "EUR"};
  }
};

SERVER_TEST(Atomically, an_older_state_is_upgraded_and_a_newer_one_left_alone) {
  auto older = world.ref<Aged>("a");
  auto newer = world.ref<Renewed>("a");
  auto other = world.ref<Counter>("c");
  const auto old_program = [](Atomic&, std::int64_t& aged, std::int64_t& count) -> Async<void> {
    aged += 4;
    ++count;
    co_return Status{};
  };
  const auto new_program = [](Atomic&, Renewed::State& aged, std::int64_t& count) -> Async<void> {
    ++aged.value;
    ++count;
    co_return Status{};
  };
  must(co_await atomically(world.store(), std::tuple(older, other), old_program));
  must(co_await atomically(world.store(), std::tuple(newer, other), new_program));
  const auto error =
      must_fail(co_await atomically(world.store(), std::tuple(older, other), old_program));
  EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  EXPECT_NE(error.message().find("version"), std::string::npos) << error.message();
  const auto read = [](Atomic&, Renewed::State& aged, std::int64_t& count) -> Async<std::int64_t> {
    co_return aged.value * 10 + count;
  };
  EXPECT_EQ(must(co_await atomically(world.store(), std::tuple(newer, other), read)), 5012);
}

// Has no default constructor.
struct Given {
  using State = std::int64_t;
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Read>;
  explicit Given(std::int64_t begin) : begins_with(begin) {}
  Result<State> init(const EntityId&) { return begins_with; }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s; }
  const std::int64_t begins_with;
};

SERVER_TEST(Atomically, the_behaviour_of_the_host_is_used_where_none_can_be_made) {
  auto& server = *co_await world.serve<Given>(std::make_shared<Given>(30));
  const auto add = [](Atomic&, std::int64_t& given) -> Async<void> {
    ++given;
    co_return Status{};
  };
  const auto far = world.ref<Given>("g");
  const auto error = must_fail(co_await atomically(world.store(), std::tuple(far), add));
  EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  const auto near = server.ref<Given>("g");
  must(co_await atomically(server.store(), std::tuple(near), add));
  EXPECT_EQ(must(co_await far.call(Given::Read{})), 31);
}

SERVER_TEST(Atomically, what_cannot_be_asked_for_is_refused_in_words) {
  auto ann = world.ref<Counter>("ann");
  bool has_run = false;
  const auto never = [&](Atomic&, Counters) -> Async<void> {
    has_run = true;
    co_return Status{};
  };
  const auto refused = [&](std::vector<Ref<Counter>> refs) -> Task<Error> {
    co_return must_fail(co_await atomically(world.store(), refs, never));
  };
  const auto vector_of = [&](std::vector<std::string> names) {
    std::vector<Ref<Counter>> refs;
    for (auto& name : names) refs.push_back(world.ref<Counter>(std::move(name)));
    return refs;
  };
  auto refs = vector_of({});
  EXPECT_EQ((co_await refused(refs)).kind(), ErrorKind::invalid_argument);
  refs = vector_of({"a", "b", "a"});
  const Error twice = co_await refused(refs);
  EXPECT_EQ(twice.kind(), ErrorKind::invalid_argument);
  EXPECT_NE(twice.message().find("twice"), std::string::npos) << twice.message();
  refs = vector_of({"a", ""});
  EXPECT_EQ((co_await refused(refs)).kind(), ErrorKind::invalid_argument);
  refs = vector_of({"a"});
  refs.push_back(semper::ref<Counter>(must(co_await open_store("memory:")), "b"));
  const Error stranger = co_await refused(refs);
  EXPECT_EQ(stranger.kind(), ErrorKind::invalid_argument);
  EXPECT_NE(stranger.message().find("another store"), std::string::npos) << stranger.message();
  refs = vector_of({"a"});
  refs.push_back(semper::ref<Counter>(Tenant(world.store(), Bytes("two/")), "b"));
  const Error tenant = co_await refused(refs);
  EXPECT_EQ(tenant.kind(), ErrorKind::invalid_argument);
  EXPECT_NE(tenant.message().find("tenant"), std::string::npos) << tenant.message();
  std::vector<std::string> names;
  for (std::size_t i = 0; i <= kAtomicallyEntities; ++i) names.push_back(std::to_string(i));
  refs = vector_of(names);
  const Error many = co_await refused(refs);
  EXPECT_EQ(many.kind(), ErrorKind::exhausted);
  EXPECT_STREQ(many.limit()->name, "kAtomicallyEntities");
  EXPECT_FALSE(has_run);
  refs.pop_back();
  must(co_await atomically(world.store(), refs, never));
  EXPECT_TRUE(has_run);
}

SERVER_TEST_WITH(SmallAtomically, what_is_more_than_a_transaction_takes_is_refused_whole,
                 "?value_bytes=20000&transaction_bytes=60000") {
  auto diary = world.ref<Diary>("d");
  auto counter = world.ref<Counter>("c");
  const auto fill = [](Atomic&, std::vector<std::string>& lines,
                       std::int64_t& count) -> Async<void> {
    lines.push_back(std::string(100'000, 'x'));
    ++count;
    co_return Status{};
  };
  const auto error =
      must_fail(co_await atomically(world.store(), std::tuple(diary, counter), fill));
  EXPECT_EQ(error.kind(), ErrorKind::exhausted) << error.to_string();
  EXPECT_STREQ(error.limit()->name, "transaction_bytes");
  EXPECT_FALSE(co_await is_there(world, counter.entity()));
}

SERVER_TEST(AtomicallyInTime, a_function_that_takes_longer_than_a_transaction_is_cancelled) {
  auto ann = world.ref<Counter>("ann");
  bool was_cancelled = false;
  const auto sleep = [&](Atomic&, std::int64_t& a) -> Async<void> {
    ++a;
    const auto slept = co_await sleep_for(world.clock(), 1h);
    was_cancelled = !slept && slept.error().kind() == ErrorKind::cancelled;
    co_return Status{};
  };
  const auto patient = within(1h);
  const auto error = must_fail(co_await atomically(world.store(), std::tuple(ann), sleep, patient));
  EXPECT_EQ(error.kind(), ErrorKind::timeout);
  EXPECT_TRUE(was_cancelled);
  EXPECT_FALSE(co_await is_there(world, ann.entity()));
}

SERVER_TEST(Atomically, an_entity_that_is_killed_meanwhile_is_not_waited_for) {
  auto ann = world.ref<Counter>("ann");
  for (int i = 0; i < 5; ++i) must(co_await ann.cast(Counter::Add{1}));
  co_await world.in_parallel(2, [&](int who) -> Task<void> {
    if (who == 0) {
      const auto add = [](Atomic&, std::int64_t& a) -> Async<std::int64_t> { co_return a += 7; };
      const auto patient = within(1min);
      const auto sum = must(co_await atomically(world.store(), std::tuple(ann), add, patient));
      EXPECT_EQ(sum, 7);
    } else {
      must(co_await sleep_for(world.clock(), 30ms));
      must(co_await ann.kill());
    }
  });
}

}  // namespace
}  // namespace semper::testing
