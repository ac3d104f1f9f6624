// Ticks alongside the messages of the queue: their order, what is dropped while they wait, ticks
// that fail, and those that are handled under the lock.
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "watchman.h"

namespace semper::testing {
namespace {

SERVER_SUITE(TimerQueues);

// Without faults: what a host does with one transaction is counted.
std::vector<WorldKind> calm_worlds() {
  auto kinds = worlds_in(TimeKind::simulated);
  std::erase_if(kinds, [](const WorldKind& kind) {
    return kind.faults.conflict > 0 || kind.faults.delay > 0;
  });
  return kinds;
}
SERVER_SUITE_ON(CalmTimers, calm_worlds());

// Sets its timer again when it is told that the tick's message was set aside.
struct Stubborn {
  using State = std::int64_t;
  struct Start {};
  struct Ring {};
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Start, Ring, Read>;

  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Start&, State&, Context& context) {
    context.send_after("t", 10ms, Ring{});
  }
  Outcome handle_cast(const Ring&, State&, Context&) { return lock(); }
  void handle_locked(const Ring&, State&, LockedContext&) {
    throw std::runtime_error("the bell is broken");
  }
  void handle_dead_letter(const DeadLetterInfo&, State& s, Context& context) {
    if (++s < 2) context.send_after("t", 20ms, Ring{});
  }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s; }
};

// Whether hosts with one thread deliver ticks past the queue on this store.
bool delivers_ticks(const Store& store) {
  const auto& backend = store.backend();
  return backend.traits().versions_are_commits && backend.limits().transaction_operations >= 20'000;
}

std::vector<std::string> names_of(const Watchman::State& seen) {
  std::vector<std::string> names;
  for (const auto& one : seen) names.push_back(one.timer);
  return names;
}

SERVER_TEST(CalmTimers, ticks_of_many_entities_share_commits_and_are_in_no_queue) {
  constexpr int kEntities = 40;
  auto& server = *co_await world.serve<Watchman>();
  const std::int64_t due = Watchman::ms(world.clock().wall_time() + 1s);
  for (int i = 0; i < kEntities; ++i) {
    const Watchman::At set{"t", due};
    must(co_await server.ref<Watchman>(std::to_string(i)).cast(set));
  }
  const auto before = server.host().statistics();
  co_await world.eventually(
      [&] { return server.host().statistics().messages == before.messages + kEntities; });
  if (!delivers_ticks(world.store())) co_return;
  const auto after = server.host().statistics();
  // A group for each shard whose timers are found, at most.
  EXPECT_LE(after.transactions - before.transactions, std::uint64_t{kEntities} / 2);
  for (int i = 0; i < kEntities; ++i) {
    const auto ref = world.ref<Watchman>(std::to_string(i));
    const auto pushed = co_await world.rows(KeyRange::point(entity_key(ref.entity(), 1)));
    EXPECT_TRUE(pushed.empty()) << "the tick of " << i << " was in a queue";
  }
  co_await expect_no_timers(world, "0");
  EXPECT_EQ(co_await count_seen(world, "0"), 1u);
}

// Its queue cannot be taken: the one permit of the host is another entity's.
SERVER_TEST(CalmTimers, a_tick_comes_after_what_waits_in_the_queue) {
  if (!delivers_ticks(world.store())) co_return;
  auto options = quick_options();
  options.active_entities = 1;
  options.message_backoff = {.initial = 1h, .maximum = 1h};
  auto& server = *co_await world.serve<Watchman>(std::make_shared<Watchman>(), options);
  Watchman::Ring broken;
  broken.fails = true;
  must(co_await world.ref<Watchman>("blocker").cast(broken));
  co_await world.eventually([&] { return server.host().statistics().failures > 0; });
  const Watchman::At set{"t", Watchman::ms(world.clock().wall_time() + 100ms)};
  must(co_await server.ref<Watchman>("w").cast(set));
  auto ref = world.ref<Watchman>("w");
  const Watchman::Note first{"first"};
  const Watchman::Note second{"second"};
  must(co_await ref.cast(first));
  must(co_await ref.cast(second));
  EXPECT_EQ(must(co_await ref.queue_length()), 2u);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return must(co_await ref.queue_length()) == 0; });
  const auto view = co_await world.look(ref);
  const auto seen = must(decode<Watchman::State>(*view.state));
  EXPECT_EQ(names_of(seen), list("first", "second", "t"));
}

// From another process, in the middle of the transaction that delivers the tick.
SERVER_TEST(CalmTimers, a_message_that_comes_while_a_tick_runs_is_not_overtaken) {
  auto behaviour = std::make_shared<Watchman>();
  auto& server = *co_await world.serve<Watchman>(behaviour);
  asio::io_context loop(1);
  const Store other = co_await world.open();
  bool is_sent = false;
  const auto send = [&]() -> Task<void> {
    const Watchman::Note note{"note"};
    must(co_await semper::ref<Watchman>(other, "w").cast(note));
    is_sent = true;
  };
  bool has_begun = false;
  bool was_in_time = false;
  behaviour->while_ringing = [&] {
    if (std::exchange(has_begun, true)) return;
    asio::co_spawn(loop, send(), asio::detached);
    loop.restart();
    loop.poll();
    was_in_time = is_sent;
  };
  const auto set = after("t", 50);
  must(co_await server.ref<Watchman>("w").call(set));
  co_await world.eventually([&]() -> Task<bool> {
    loop.restart();
    loop.poll();
    co_return co_await count_seen(world, "w") == 2;
  });
  behaviour->while_ringing = nullptr;
  if (delivers_ticks(world.store()) && was_in_time) {
    EXPECT_EQ(names_of(co_await seen_by(world, "w")), list("note", "t"));
    EXPECT_GT(server.host().statistics().conflicts, 0u);
  }
  co_await expect_no_timers(world, "w");
}

// As docs/guarantees.md says: five thirds of its lease, after which it is found out.
SERVER_TEST(CalmTimers, timers_of_a_host_that_died_are_late_until_the_others_have_found_out) {
  constexpr int kEntities = 24;
  constexpr std::int64_t kPeriod = 500;
  auto options = quick_options();
  options.host_lease = 3s;
  Process* first = co_await world.serve<Watchman>(std::make_shared<Watchman>(), options);
  auto& second = *co_await world.serve<Watchman>(std::make_shared<Watchman>(), options);
  const auto set = every("t", kPeriod);
  for (int i = 0; i < kEntities; ++i) {
    must(co_await second.ref<Watchman>(std::to_string(i)).call(set));
  }
  must(co_await sleep_for(world.clock(), 2s));
  first->kill();
  must(co_await sleep_for(world.clock(), 12s));
  std::int64_t longest = 0;
  for (int i = 0; i < kEntities; ++i) {
    const auto seen = co_await seen_by(world, std::to_string(i));
    EXPECT_GT(seen.size(), 10u);
    for (std::size_t at = 1; at < seen.size(); ++at) {
      longest = std::max(longest, seen[at].handled_ms - seen[at - 1].handled_ms);
    }
  }
  EXPECT_GT(longest, 2 * kPeriod) << "none was its own";
  EXPECT_LE(longest, 5'000 + kPeriod + 100);
}

// Both are due when the host begins, and the first one cancels the second.
SERVER_TEST(TimerQueues, a_tick_cancels_another_that_is_due_with_it) {
  Process* server = co_await world.serve<Watchman>();
  Watchman::Ring ring;
  ring.cancels = "b";
  const auto first = after("a", 200, ring);
  const auto second = after("b", 210);
  must(co_await server->ref<Watchman>("w").call(first));
  must(co_await server->ref<Watchman>("w").call(second));
  must(co_await server->run(server->host().stop()));
  must(co_await sleep_for(world.clock(), 300ms));
  co_await world.serve<Watchman>();
  co_await world.eventually([&]() -> Task<bool> {
    auto timers = co_await timers_of(world, "w");
    co_return timers.empty();
  });
  co_await world.until_processed(world.ref<Watchman>("w").untyped());
  EXPECT_EQ(names_of(co_await seen_by(world, "w")), list("a"));
  co_await expect_no_timers(world, "w");
}

// A tick waits behind the lock; then its timer is cancelled, by a message that runs before it, or
// from outside.
Task<void> cancel_a_queued_tick(World& world, bool from_outside) {
  auto behaviour = std::make_shared<Watchman>();
  Process* server = co_await world.serve<Watchman>(behaviour);
  auto ref = world.ref<Watchman>("w");
  must(co_await ref.cast<Watchman::Hold>());
  co_await world.eventually([&] { return behaviour->is_held.load(); });
  if (!from_outside) {
    const auto stop = cancel("t");
    must(co_await ref.cast(stop));
  }
  // Past the lock, so that its tick is behind all that.
  auto local = server->ref<Watchman>("w");
  const auto set = after("t", 10);
  must(co_await local.info(set));
  const std::uint64_t waiting = from_outside ? 2 : 3;  // with what holds the lock
  co_await world.eventually(
      [&]() -> Task<bool> { co_return must(co_await ref.queue_length()) == waiting; });
  auto timers = co_await timers_of(world, "w");
  EXPECT_EQ(timers.size(), 1u);
  EXPECT_TRUE(timers.size() != 1 || !timers[0].due) << "its tick waits in the queue";
  if (from_outside) {
    must(co_await cancel_timer(Tenant(world.store()), ref.entity(), "t"));
    const auto none = must_fail(co_await cancel_timer(Tenant(world.store()), ref.entity(), "t"));
    EXPECT_EQ(none.kind(), ErrorKind::not_found);
  }
  behaviour->may_go = true;
  co_await world.until_processed(ref.untyped());
  EXPECT_EQ(co_await count_seen(world, "w"), 0u) << "a cancelled timer's tick was handled";
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(TimerQueues, a_queued_tick_is_dropped_when_its_timer_is_cancelled) {
  co_await cancel_a_queued_tick(world, false);
}

SERVER_TEST(TimerQueues, a_queued_tick_is_dropped_when_its_timer_is_cancelled_from_outside) {
  co_await cancel_a_queued_tick(world, true);
}

// As cancel_a_queued_tick.
SERVER_TEST(TimerQueues, a_queued_tick_waits_while_its_timer_is_paused) {
  auto behaviour = std::make_shared<Watchman>();
  Process* server = co_await world.serve<Watchman>(behaviour);
  auto ref = world.ref<Watchman>("w");
  must(co_await ref.cast<Watchman::Hold>());
  co_await world.eventually([&] { return behaviour->is_held.load(); });
  auto local = server->ref<Watchman>("w");
  const auto set = after("t", 10);
  must(co_await local.info(set));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return must(co_await ref.queue_length()) == 2; });
  must(co_await pause_timer(Tenant(world.store()), ref.entity(), "t"));
  behaviour->may_go = true;
  co_await world.until_processed(ref.untyped());
  EXPECT_EQ(co_await count_seen(world, "w"), 0u) << "a paused timer's tick was handled";
  must(co_await resume_timer(Tenant(world.store()), ref.entity(), "t"));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  auto seen = co_await seen_by(world, "w");
  EXPECT_EQ(seen[0].number, 1u);
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(TimerQueues, a_tick_that_fails_is_set_aside_and_the_schedule_goes_on) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  Watchman::Ring broken;
  broken.fails = true;
  const auto set = every("bad", 20, 2, broken);
  must(co_await ref.call(set));
  const EntityId id = ref.entity();
  co_await world.eventually([&]() -> Task<bool> {
    auto letters = must(co_await list_dead_letters(Tenant(world.store()), id));
    co_return letters.size() == 2;
  });
  co_await world.until_processed(ref.untyped());
  co_await expect_no_timers(world, "w");
  // Whoever redrives one wants it handled, although its timer is over: it fails again.
  must(co_await redrive_dead_letters(Tenant(world.store()), id));
  co_await world.eventually([&]() -> Task<bool> {
    auto letters = must(co_await list_dead_letters(Tenant(world.store()), id));
    co_return letters.size() == 2;
  });
}

SERVER_TEST(TimerQueues, ticks_handled_under_the_lock_come_once_each_and_the_schedule_goes_on) {
  auto behaviour = std::make_shared<Watchman>();
  co_await world.serve<Watchman>(behaviour);
  auto ref = world.ref<Watchman>("w");
  Watchman::Ring locked;
  locked.locks = true;
  const auto set = every("t", 20, 3, locked);
  must(co_await ref.call(set));
  co_await world.eventually([&]() -> Task<bool> {
    auto timers = co_await timers_of(world, "w");
    co_return timers.empty();
  });
  auto seen = co_await seen_by(world, "w");
  EXPECT_EQ(seen.size(), 3u);
  for (const auto& tick : seen) EXPECT_EQ(tick.timer, "t");
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(TimerQueues, a_timer_whose_tick_was_given_up_under_the_lock_can_be_set_again) {
  co_await world.serve<Stubborn>();
  auto ref = world.ref<Stubborn>("s");
  must(co_await ref.cast<Stubborn::Start>());
  co_await world.eventually([&]() -> Task<bool> {
    const Stubborn::Read read;
    auto told = must(co_await ref.call(read));
    co_return told == 2;
  });
  const auto left = must(co_await list_timers(Tenant(world.store()), ref.entity()));
  EXPECT_TRUE(left.empty());
}

}  // namespace
}  // namespace semper::testing
