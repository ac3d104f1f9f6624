// Durable timers: each due time becomes one message, whoever hosts the entity, and none of a timer
// that was cancelled.
#include <algorithm>
#include <atomic>
#include <functional>
#include <iterator>
#include <stdexcept>

#include "behaviours.h"
#include "semper/server/list_timers.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(DurableTimers);
SERVER_SUITE_ON(SimulatedTimers, worlds_in(TimeKind::simulated));

// Without faults: what a host does with one transaction is counted.
std::vector<WorldKind> calm_worlds() {
  auto kinds = worlds_in(TimeKind::simulated);
  std::erase_if(kinds, [](const WorldKind& kind) {
    return kind.faults.conflict > 0 || kind.faults.delay > 0;
  });
  return kinds;
}
SERVER_SUITE_ON(CalmTimers, calm_worlds());

// Writes down each tick.
struct Watchman {
  struct Seen {
    std::string timer;
    std::uint64_t number = 0;
    std::uint64_t missed = 0;
    std::int64_t nominal_ms = 0;
    std::int64_t handled_ms = 0;
  };
  using State = std::vector<Seen>;

  struct Ring {
    bool locks = false;
    bool fails = false;
    bool sets_itself = false;
    std::string cancels;  // another timer
  };
  struct Note {
    std::string text;
  };
  struct After {
    std::string name;
    std::int64_t ms = 0;
    Ring ring;
    using Reply = bool;
  };
  struct Every {
    std::string name;
    std::int64_t ms = 0;
    std::uint64_t count = 0;
    Ring ring;
    using Reply = bool;
  };
  struct At {
    std::string name;
    std::int64_t ms = 0;
  };
  struct Cancel {
    std::string name;
    using Reply = bool;
  };
  struct Cron {
    std::string name;
    std::string schedule;
    std::string zone;
    std::uint64_t count = 0;
    std::int64_t jitter_ms = 0;
    using Reply = bool;
  };
  struct Pause {
    std::string name;
    bool resumes = false;
    using Reply = bool;
  };
  struct Fill {
    std::uint64_t timers = 0;
    using Reply = bool;
  };
  struct Hold {};  // the lock, until it is let go
  struct Read {
    using Reply = State;
  };
  using Messages =
      semper::Messages<Ring, Note, After, Every, At, Cron, Pause, Cancel, Fill, Hold, Read>;

  std::atomic<bool> is_held{false};
  std::atomic<bool> may_go{false};
  std::atomic<int> locked_rings{0};
  std::function<void()> while_ringing;

  Result<State> init(const EntityId&) { return State(); }

  static std::int64_t ms(WallTime when) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(when.time_since_epoch()).count();
  }
  static void see(State& s, const Tick* tick, WallTime now) {
    Seen seen;
    if (tick != nullptr) {
      seen = {tick->timer, tick->number, tick->missed, ms(tick->nominal), ms(now)};
    }
    s.push_back(seen);
  }

  Outcome handle_cast(const Ring& m, State& s, Context& context) {
    if (m.fails) throw std::runtime_error("the bell is broken");
    if (while_ringing) while_ringing();
    if (m.locks) return lock();
    see(s, context.tick(), context.now());
    if (!m.cancels.empty()) context.cancel_timer(m.cancels);
    if (m.sets_itself && s.size() < 3) context.send_after(context.tick()->timer, 20ms, m);
    return {};
  }
  void handle_cast(const Note& m, State& s, Context&) { s.push_back({m.text}); }
  void handle_locked(const Ring&, State& s, LockedContext& context) {
    ++locked_rings;
    see(s, context.tick(), context.clock().wall_time());
  }
  void handle_info(const After& m, State&, Context& context) {
    context.send_after(m.name, std::chrono::milliseconds(m.ms), m.ring);
  }
  Reply<bool> handle_call(const After& m, State&, Context& context) {
    context.send_after(m.name, std::chrono::milliseconds(m.ms), m.ring);
    return true;
  }
  Reply<bool> handle_call(const Every& m, State&, Context& context) {
    EveryOptions options{.period = std::chrono::milliseconds(m.ms)};
    options.max_count = m.count;
    context.send_every(m.name, options, m.ring);
    return true;
  }
  Reply<bool> handle_call(const Cron& m, State&, Context& context) {
    CronOptions options{.schedule = m.schedule, .zone = m.zone};
    options.max_count = m.count;
    options.jitter = std::chrono::milliseconds(m.jitter_ms);
    context.send_cron(m.name, options, Ring{});
    return true;
  }
  static void apply(const Pause& m, Context& context) {
    if (m.resumes) {
      context.resume_timer(m.name);
    } else {
      context.pause_timer(m.name);
    }
  }
  Reply<bool> handle_call(const Pause& m, State&, Context& context) {
    apply(m, context);
    return true;
  }
  void handle_cast(const Pause& m, State&, Context& context) { apply(m, context); }
  void handle_cast(const At& m, State&, Context& context) {
    context.send_at(m.name, WallTime(std::chrono::milliseconds(m.ms)), Ring{});
  }
  Reply<bool> handle_call(const Cancel& m, State&, Context& context) {
    context.cancel_timer(m.name);
    return true;
  }
  void handle_cast(const Cancel& m, State&, Context& context) { context.cancel_timer(m.name); }
  void handle_info(const Cancel& m, State&, Context& context) { context.cancel_timer(m.name); }
  Reply<bool> handle_call(const Fill& m, State&, Context& context) {
    for (std::uint64_t i = 0; i < m.timers; ++i) {
      context.send_after("t" + std::to_string(i), 1h, Ring{});
    }
    return true;
  }
  Reply<State> handle_call(const Read&, State& s, Context&) { return s; }
  Outcome handle_cast(const Hold&, State&, Context&) { return lock(); }
  asio::awaitable<void> handle_locked(const Hold&, State&, LockedContext& context) {
    is_held = true;
    while (!may_go && !context.lost().stop_requested()) {
      static_cast<void>(co_await sleep_for(context.clock(), 1ms));
    }
    is_held = false;
  }
};

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

Watchman::After after(std::string name, std::int64_t ms, Watchman::Ring ring = {}) {
  return {std::move(name), ms, ring};
}
Watchman::Every every(std::string name, std::int64_t ms, std::uint64_t count = 0,
                      Watchman::Ring ring = {}) {
  return {std::move(name), ms, count, ring};
}
Watchman::Cron cron(std::string name, std::string schedule, std::uint64_t count = 0) {
  return {std::move(name), std::move(schedule), "Europe/Berlin", count};
}
Watchman::Cancel cancel(std::string name) {
  return {std::move(name)};
}

Task<void> set_paused(World& world, std::string id, std::string name, bool is_paused) {
  auto ref = world.ref<Watchman>(std::move(id));
  Watchman::Pause message;
  message.name = std::move(name);
  message.resumes = !is_paused;
  must(co_await ref.call(message));
}

Task<Watchman::State> seen_by(World& world, std::string id) {
  auto reader = world.ref<Watchman>(std::move(id));
  const Watchman::Read read;
  co_return must(co_await reader.call(read));
}

Task<std::size_t> count_seen(World& world, std::string id) {
  auto seen = co_await seen_by(world, std::move(id));
  co_return seen.size();
}

Task<std::vector<TimerView>> timers_of(World& world, std::string id) {
  const EntityId entity{std::string(type_name<Watchman>()), std::move(id)};
  co_return must(co_await list_timers(Tenant(world.store()), entity));
}

// Nothing waits for its time any more, and nothing is left of timers that are over.
Task<void> expect_no_timers(World& world, std::string id) {
  auto left = co_await timers_of(world, id);
  EXPECT_TRUE(left.empty());
  auto due = must(co_await list_due(Tenant(world.store()), std::string(type_name<Watchman>())));
  EXPECT_TRUE(due.empty());
  const EntityId entity{std::string(type_name<Watchman>()), std::move(id)};
  const auto count = must(co_await count_timers(Tenant(world.store()), entity));
  EXPECT_EQ(count, 0u);
}

SERVER_TEST(DurableTimers, a_timer_comes_once_and_not_before_its_time) {
  co_await world.serve<Watchman>();
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto set = after("once", 60);
  must(co_await ref.call(set));
  auto timers = co_await timers_of(world, "w");
  EXPECT_EQ(timers.size(), 1u);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  const auto second = after("another", 30);
  must(co_await ref.call(second));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") >= 2; });
  auto seen = co_await seen_by(world, "w");
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].timer, "once");
  EXPECT_EQ(seen[0].number, 1u);
  EXPECT_GE(seen[0].handled_ms, seen[0].nominal_ms);
  EXPECT_EQ(seen[1].timer, "another");
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(DurableTimers, a_repeating_timer_sends_its_ticks_in_order_and_ends) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto set = every("beat", 20, 4);
  must(co_await ref.call(set));
  co_await world.eventually([&]() -> Task<bool> {
    auto timers = co_await timers_of(world, "w");
    co_return timers.empty();
  });
  auto seen = co_await seen_by(world, "w");
  EXPECT_EQ(seen.size(), 4u);
  std::uint64_t number = 0;
  for (const auto& tick : seen) {
    EXPECT_EQ(tick.number, number + tick.missed + 1);
    EXPECT_EQ((tick.nominal_ms - seen[0].nominal_ms) % 20, 0) << "the anchor has moved";
    number = tick.number;
  }
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(DurableTimers, a_delayed_cast_of_a_process_without_a_host_is_delivered) {
  auto ref = world.ref<Watchman>("w");
  const Watchman::Ring ring;
  must(co_await ref.cast_after(10ms, ring));
  must(co_await ref.cast_at<Watchman::Ring>(WallTime()));
  auto timers = co_await timers_of(world, "w");
  EXPECT_EQ(timers.size(), 2u);
  co_await world.serve<Watchman>();
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 2; });
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(DurableTimers, a_timer_that_is_set_again_moves_only_with_another_spec) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto hour = after("t", 3'600'000);
  must(co_await ref.call(hour));
  auto first = co_await timers_of(world, "w");
  must(co_await sleep_for(world.clock(), 5ms));
  must(co_await ref.call(hour));
  auto again = co_await timers_of(world, "w");
  EXPECT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].due, first[0].due) << "the same spec keeps its anchor";
  const auto soon = after("t", 10);
  must(co_await ref.call(soon));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(DurableTimers, a_timer_that_sets_itself_again_comes_again) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  Watchman::Ring ring;
  ring.sets_itself = true;
  const auto set = after("t", 10, ring);
  must(co_await ref.call(set));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 3; });
  co_await expect_no_timers(world, "w");
}

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
SERVER_TEST(DurableTimers, a_tick_cancels_another_that_is_due_with_it) {
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

SERVER_TEST(DurableTimers, a_queued_tick_is_dropped_when_its_timer_is_cancelled) {
  co_await cancel_a_queued_tick(world, false);
}

SERVER_TEST(DurableTimers, a_queued_tick_is_dropped_when_its_timer_is_cancelled_from_outside) {
  co_await cancel_a_queued_tick(world, true);
}

SERVER_TEST(DurableTimers, a_kill_deletes_timers) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto far = every("far", 3'600'000);
  const auto near = after("near", 40);
  must(co_await ref.call(far));
  must(co_await ref.call(near));
  must(co_await ref.kill());
  co_await expect_no_timers(world, "w");
  const auto fresh = after("fresh", 60);
  must(co_await ref.call(fresh));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") >= 1; });
  auto seen = co_await seen_by(world, "w");
  EXPECT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0].timer, "fresh");
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(DurableTimers, a_reset_keeps_timers) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto set = after("t", 3'600'000);
  must(co_await ref.call(set));
  auto before = co_await timers_of(world, "w");
  must(co_await ref.reset());
  auto left = co_await timers_of(world, "w");
  EXPECT_EQ(left.size(), 1u);
  EXPECT_TRUE(left.size() != 1 || left[0].due == before[0].due);
  const auto soon = after("t", 10);
  must(co_await ref.call(soon));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
}

SERVER_TEST(DurableTimers, a_tick_that_fails_is_set_aside_and_the_schedule_goes_on) {
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

SERVER_TEST(DurableTimers, ticks_handled_under_the_lock_come_once_each_and_the_schedule_goes_on) {
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

SERVER_TEST(DurableTimers, a_timer_whose_tick_was_given_up_under_the_lock_can_be_set_again) {
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

SERVER_TEST(DurableTimers, an_info_can_set_a_timer) {
  Process* server = co_await world.serve<Watchman>();
  auto ref = server->ref<Watchman>("w");
  const auto set = after("t", 10);
  must(co_await ref.info(set));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
}

SERVER_TEST(SimulatedTimers, timers_past_the_bound_of_an_entity_are_refused) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const Watchman::Fill all{kTimersPerEntity};
  must(co_await ref.call(all));
  const auto one_more = after("one more", 10);
  const Error refused = must_fail(co_await ref.call(one_more));
  EXPECT_EQ(refused.kind(), ErrorKind::exhausted);
  const Watchman::Ring ring;
  const Error from_outside = must_fail(co_await ref.cast_after(1s, ring));
  EXPECT_EQ(from_outside.kind(), ErrorKind::exhausted);
  const auto stop = cancel("t0");
  must(co_await ref.call(stop));
  must(co_await ref.call(one_more));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  must(co_await ref.kill());
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(SimulatedTimers, ticks_missed_while_no_host_ran_come_as_one_that_counts_them) {
  Process* server = co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto set = every("t", 1'000);
  must(co_await ref.call(set));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  server->kill();
  must(co_await sleep_for(world.clock(), 10min));
  co_await world.serve<Watchman>();
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") >= 3; });
  auto seen = co_await seen_by(world, "w");
  EXPECT_LE(seen.size(), 5u);
  EXPECT_GT(seen[1].missed, 590u);
  EXPECT_EQ(seen[1].number, seen[0].number + 1 + seen[1].missed);
  EXPECT_EQ((seen[2].nominal_ms - seen[0].nominal_ms) % 1'000, 0);
}

SERVER_TEST(SimulatedTimers, a_row_that_cannot_be_read_stops_no_other_of_its_shard) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto bad = after("bad", 5'000);
  must(co_await ref.call(bad));
  auto stored = co_await world.rows(entity_range(ref.entity(), 13));
  EXPECT_EQ(stored.size(), 1u);
  co_await world.put(stored.front().key, "damaged");
  const auto good = after("good", 6'000);
  must(co_await ref.call(good));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  const auto logged = world.logged();
  EXPECT_TRUE(std::any_of(logged.begin(), logged.end(), [](const std::string& line) {
    return line.find("timer bad is left alone") != std::string::npos;
  }));
  auto listed = co_await list_timers(Tenant(world.store()), ref.entity());
  EXPECT_EQ(must_fail(listed).kind(), ErrorKind::corrupt);
  must(co_await cancel_timer(Tenant(world.store()), ref.entity(), "bad"));
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(SimulatedTimers, a_host_that_waits_for_a_timer_notices_a_sooner_one) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto far = after("far", 3'600'000);
  must(co_await ref.call(far));
  must(co_await sleep_for(world.clock(), 2s));
  const MonotonicTime began = world.clock().now();
  const auto near = after("near", 100);
  must(co_await ref.call(near));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  EXPECT_LT(world.clock().now() - began, world.is_steady() ? Duration(1s) : Duration(40s));
}

SERVER_TEST(SimulatedTimers, hosts_with_other_calendars_send_each_tick_of_a_repeating_timer_once) {
  co_await world.serve<Watchman>(std::make_shared<Watchman>(), quick_options(), {}, 3s);
  co_await world.serve<Watchman>(std::make_shared<Watchman>(), quick_options(), {}, -3s);
  co_await world.serve<Watchman>();
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.push_back("w" + std::to_string(i));
  for (const auto& id : ids) {
    const auto set = every("t", 500, 6);
    must(co_await world.ref<Watchman>(id).call(set));
  }
  for (const auto& id : ids) {
    co_await world.eventually([&]() -> Task<bool> {
      auto timers = co_await timers_of(world, id);
      co_return timers.empty();
    });
    auto seen = co_await seen_by(world, id);
    std::uint64_t number = 0;
    for (const auto& tick : seen) {
      EXPECT_EQ(tick.number, number + tick.missed + 1) << id;
      number = tick.number;
    }
    EXPECT_EQ(seen.size(), 6u) << id;
  }
}

SERVER_TEST(DurableTimers, a_schedule_that_is_none_is_refused_in_words) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto bad = cron("t", "61 * * * *");
  const Error refused = must_fail(co_await ref.call(bad));
  EXPECT_EQ(refused.kind(), ErrorKind::invalid_argument);
  EXPECT_NE(refused.message().find("minute \"61\""), std::string::npos) << refused.message();
  auto nowhere = cron("t", "@daily");
  nowhere.zone = "Europe/Atlantis";
  const Error unknown = must_fail(co_await ref.call(nowhere));
  EXPECT_NE(unknown.message().find("Europe/Atlantis"), std::string::npos) << unknown.message();
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(SimulatedTimers, hosts_with_other_calendars_send_each_tick_of_a_schedule_once) {
  co_await world.serve<Watchman>(std::make_shared<Watchman>(), quick_options(), {}, 3s);
  co_await world.serve<Watchman>(std::make_shared<Watchman>(), quick_options(), {}, -3s);
  co_await world.serve<Watchman>();
  std::vector<std::string> ids;
  for (int i = 0; i < 20; ++i) ids.push_back("w" + std::to_string(i));
  for (const auto& id : ids) {
    const auto set = cron("t", "*/2 * * * * *", 4);
    must(co_await world.ref<Watchman>(id).call(set));
  }
  for (const auto& id : ids) {
    co_await world.eventually([&]() -> Task<bool> {
      auto timers = co_await timers_of(world, id);
      co_return timers.empty();
    });
    auto seen = co_await seen_by(world, id);
    EXPECT_EQ(seen.size(), 4u) << id;
    std::uint64_t number = 0;
    std::int64_t first = 0;
    for (const auto& tick : seen) {
      EXPECT_EQ(tick.number, number + tick.missed + 1) << id;
      number = tick.number;
      EXPECT_EQ(tick.nominal_ms % 2'000, 0) << id;
      if (first == 0) first = tick.nominal_ms - 2'000 * static_cast<std::int64_t>(number);
      EXPECT_EQ(tick.nominal_ms, first + 2'000 * static_cast<std::int64_t>(number)) << id;
    }
  }
}

SERVER_TEST(SimulatedTimers, a_schedule_keeps_its_zone_and_its_next_time) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  auto set = cron("t", "30 2 * * *", 7);
  set.jitter_ms = 60'000;
  must(co_await ref.call(set));
  auto timers = co_await timers_of(world, "w");
  EXPECT_EQ(timers.size(), 1u);
  EXPECT_EQ(timers[0].kind, TimerView::Kind::cron);
  const auto shown = timers[0].cron.value_or(CronOptions());
  EXPECT_EQ(shown.schedule, "30 2 * * *");
  EXPECT_EQ(shown.zone, "Europe/Berlin");
  EXPECT_EQ(shown.max_count, 7u);
  EXPECT_EQ(shown.jitter, 60s);
  const auto next = must(next_cron_time(shown, world.clock().wall_time()));
  EXPECT_GE(*timers[0].due, *next);
  EXPECT_LE(*timers[0].due, *next + 60s);
  must(co_await sleep_for(world.clock(), 10ms));
  must(co_await ref.call(set));
  auto again = co_await timers_of(world, "w");
  EXPECT_EQ(again[0].due, timers[0].due) << "the same spec keeps what was drawn";
}

// The row of an entity's only timer, as another program would have written it.
Task<void> fire_behind(World& world, std::string id, std::function<void(Bytes&)> change) {
  auto ref = world.ref<Watchman>(id);
  const auto beyond = cron("beyond", "*/10 * * * * *");
  must(co_await ref.call(beyond));
  const auto range = entity_range(ref.entity(), 13);
  const auto stored = co_await world.rows(range);
  EXPECT_EQ(stored.size(), 1u);
  Bytes changed = stored.front().value;
  change(changed);
  co_await world.put(stored.front().key, changed);
  const auto good = after("good", 12'000);
  must(co_await ref.call(good));
  // Long enough, and cheap where it does not come.
  must(co_await sleep_for(world.clock(), 2min));
  auto seen = co_await seen_by(world, id);
  EXPECT_EQ(seen.size(), 1u);
  if (seen.empty()) co_return;
  EXPECT_EQ(seen[0].timer, "good");
  // Here again is a program that knows it: nothing is lost.
  co_await world.put(stored.front().key, stored.front().value);
  co_await world.eventually([&]() -> Task<bool> { co_return co_await count_seen(world, id) >= 2; });
  seen = co_await seen_by(world, id);
  EXPECT_EQ(seen[1].timer, "beyond");
  must(co_await ref.kill());
}

SERVER_TEST(SimulatedTimers,
            a_timer_that_is_beyond_a_host_stops_no_other_of_its_shard_and_is_not_lost) {
  co_await world.serve<Watchman>();
  co_await fire_behind(world, "newer", [](Bytes& row) { row[Versionstamp::size + 1] = 9; });
  co_await fire_behind(world, "elsewhere", [](Bytes& row) {
    row.replace(row.find("Europe/Berlin"), 13, "Europe/Brrrrr");
  });
}

SERVER_TEST(SimulatedTimers, a_paused_timer_sends_no_tick_and_makes_up_for_none) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const auto set = every("t", 1'000);
  must(co_await ref.call(set));
  co_await set_paused(world, "w", "t", true);
  auto timers = co_await timers_of(world, "w");
  EXPECT_TRUE(timers.size() == 1 && timers[0].is_paused && !timers[0].due);
  must(co_await sleep_for(world.clock(), 10min));
  EXPECT_EQ(co_await count_seen(world, "w"), 0u);
  must(co_await ref.call(set));  // does not resume it
  co_await set_paused(world, "w", "t", false);
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") >= 2; });
  auto seen = co_await seen_by(world, "w");
  EXPECT_GE(seen[0].missed, 599u);
  EXPECT_EQ(seen[0].number, seen[0].missed + 1);
  EXPECT_EQ(seen[1].number, seen[0].number + seen[1].missed + 1);
  EXPECT_EQ((seen[1].nominal_ms - seen[0].nominal_ms) % 1'000, 0);
  EXPECT_LT(seen[0].handled_ms - seen[0].nominal_ms, 900'000);
}

// As cancel_a_queued_tick.
SERVER_TEST(DurableTimers, a_queued_tick_waits_while_its_timer_is_paused) {
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

SERVER_TEST(DurableTimers, a_triggered_timer_fires_and_keeps_its_schedule) {
  co_await world.serve<Watchman>();
  auto ref = world.ref<Watchman>("w");
  const Tenant tenant(world.store());
  const auto set = every("t", 3'600'000);
  must(co_await ref.call(set));
  auto before = co_await timers_of(world, "w");
  must(co_await trigger_timer(tenant, ref.entity(), "t"));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 1; });
  co_await world.until_processed(ref.untyped());
  auto seen = co_await seen_by(world, "w");
  EXPECT_EQ(seen[0].timer, "t");
  EXPECT_EQ(seen[0].number, 0u);
  auto timers = co_await timers_of(world, "w");
  EXPECT_EQ(timers.size(), 1u);
  EXPECT_EQ(timers[0].due, before[0].due);
  // Of a paused one, too, and one of a single tick is over with it.
  must(co_await pause_timer(tenant, ref.entity(), "t"));
  must(co_await trigger_timer(tenant, ref.entity(), "t"));
  const auto once = after("once", 3'600'000);
  must(co_await ref.call(once));
  must(co_await trigger_timer(tenant, ref.entity(), "once"));
  co_await world.eventually(
      [&]() -> Task<bool> { co_return co_await count_seen(world, "w") == 3; });
  timers = co_await timers_of(world, "w");
  EXPECT_EQ(timers.size(), 1u);
  EXPECT_TRUE(timers[0].is_paused);
  auto none = must_fail(co_await pause_timer(tenant, ref.entity(), "no such"));
  EXPECT_EQ(none.kind(), ErrorKind::not_found);
  none = must_fail(co_await resume_timer(tenant, ref.entity(), "no such"));
  EXPECT_EQ(none.kind(), ErrorKind::not_found);
  must(co_await ref.kill());
  const auto gone = must_fail(co_await trigger_timer(tenant, ref.entity(), "t"));
  EXPECT_EQ(gone.kind(), ErrorKind::not_found);
  co_await expect_no_timers(world, "w");
}

SERVER_TEST(SimulatedTimers, the_list_of_what_is_due_is_complete_and_in_order) {
  co_await world.serve<Watchman>();
  const Tenant tenant(world.store());
  const std::string type(type_name<Watchman>());
  for (int i = 0; i < 30; ++i) {
    const auto set = after("t" + std::to_string(i % 3), 600'000 + 60'000 * ((i * 7) % 30));
    must(co_await world.ref<Watchman>("w" + std::to_string(i)).call(set));
  }
  std::vector<TimerView> all;
  DueListOptions page;
  page.limit = 7;
  while (true) {
    auto some = must(co_await list_due(tenant, type, page));
    if (some.empty()) break;
    page.after = DueListOptions::Place{*some.back().due, some.back().entity.id, some.back().name};
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
  EXPECT_EQ(all.size(), 30u);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(),
                             [](const auto& a, const auto& b) { return *a.due < *b.due; }));
  DueListOptions soon;
  soon.until = world.clock().wall_time() + 610s;
  auto first = must(co_await list_due(tenant, type, soon));
  EXPECT_EQ(first.size(), 1u);
  auto later = must(co_await list_due(tenant, type, DueListOptions()));
  EXPECT_EQ(later.size(), 30u);
}

}  // namespace
}  // namespace semper::testing
