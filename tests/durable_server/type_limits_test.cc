// Limits of a type, and of its keys: never more than they allow, whatever happens to hosts; and
// what is over them waits for its turn, in nobody's way.
#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <utility>

#include "behaviours.h"
#include "limits.h"
#include "semper/server/dead_letters.h"
#include "semper/store/tuple_stream.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::SizeIs;

SERVER_SUITE_ON(TypeLimits, worlds_in(TimeKind::simulated));
SERVER_SUITE(TypeLimitsInAnyTime);

// What callbacks have seen, of all hosts.
struct SeenRun {
  explicit SeenRun(Clock& of) : clock(of) {}

  struct Run {
    MonotonicTime when;
    std::string id;
    std::int64_t number = 0;
  };
  void ran(const EntityId& id, std::int64_t number) {
    std::lock_guard lock(mutex);
    runs.push_back({clock.now(), id.id, number});
  }
  std::vector<std::int64_t> numbers_of(const std::string& id) const {
    std::vector<std::int64_t> numbers;
    for (const auto& run : runs) {
      if (run.id == id) numbers.push_back(run.number);
    }
    return numbers;
  }
  MonotonicTime last_of(const std::string& key) const {
    MonotonicTime last{};
    for (const auto& run : runs) {
      if (limit_key_in(run.id) == key) last = std::max(last, run.when);
    }
    return last;
  }
  // Most messages of the key within any time, over what its rate allows in that time. The last run
  // counts: those before it were undone.
  double over(const std::string& key, const RateLimit& rate) const {
    std::map<std::pair<std::string, std::int64_t>, MonotonicTime> last_runs;
    for (const auto& run : runs) {
      if (limit_key_in(run.id) == key) last_runs[{run.id, run.number}] = run.when;
    }
    std::vector<MonotonicTime> times;
    for (const auto& [message, when] : last_runs) times.push_back(when);
    return excess_over(rate, std::move(times));
  }

  void begins(const std::string& id) {
    std::lock_guard lock(mutex);
    running.insert(id);
    begun.push_back(id);
    std::map<std::string, int> by_key;
    for (const auto& one : running) ++by_key[limit_key_in(one)];
    for (const auto& [key, count] : by_key) most[key] = std::max(most[key], count);
  }
  void ends(const std::string& id) {
    std::lock_guard lock(mutex);
    running.erase(id);
  }

  Clock& clock;
  std::mutex mutex;
  std::vector<Run> runs;
  std::set<std::string> running;  // those of a killed process until somebody has taken them over
  std::vector<std::string> begun;
  std::map<std::string, int> most;
};

struct Mailer {
  static constexpr std::string_view kName = "Mailer";
  static constexpr RateLimit kRateLimit{.messages = 10, .per = 1s, .burst = 5};
  static std::string limit_key(const EntityId& id) { return limit_key_in(id.id); }
  using State = std::int64_t;
  struct Send {
    std::int64_t number = 0;
    using Reply = std::int64_t;
  };
  struct Fall {};
  struct Look {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Send, Fall, Look>;

  explicit Mailer(std::shared_ptr<SeenRun> by) : seen(std::move(by)) {}
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Send& m, State& s, Context& context) {
    seen->ran(context.id(), m.number);
    return ++s;
  }
  void handle_cast(const Send& m, State& s, Context& context) {
    seen->ran(context.id(), m.number);
    ++s;
  }
  void handle_cast(const Fall&, State&, Context& context) {
    seen->ran(context.id(), -1);
    throw std::runtime_error("fell");
  }
  Reply<std::int64_t> handle_call(const Look&, State& s, Context&) { return s; }

  std::shared_ptr<SeenRun> seen;
};

struct SlowMailer : Mailer {
  using Mailer::Mailer;
  static constexpr std::string_view kName = "SlowMailer";
  static constexpr RateLimit kRateLimit{.messages = 1, .per = 1s, .burst = 10};
};

struct Crane {
  static constexpr std::string_view kName = "Crane";
  static constexpr int kConcurrencyLimit = 2;
  std::string limit_key(const EntityId& id) const { return limit_key_in(id.id); }
  using State = std::int64_t;
  struct Lift {
    std::int64_t ms = 300;
    using Reply = std::int64_t;
  };
  struct Count {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Lift, Count>;

  explicit Crane(std::shared_ptr<SeenRun> by) : seen(std::move(by)) {}
  Result<State> init(const EntityId&) { return 0; }
  Outcome handle_cast(const Lift&, State&, Context&) { return lock(); }
  Reply<std::int64_t> handle_call(const Lift&, State&, Context&) { return lock(); }
  Reply<std::int64_t> handle_call(const Count&, State& s, Context&) { return s; }
  Task<Reply<std::int64_t>> handle_locked(const Lift& m, State& s, LockedContext& context) {
    const std::string id = context.id().id;
    seen->begins(id);
    const auto until = std::chrono::milliseconds(m.ms);
    static_cast<void>(co_await sleep_for(context.clock(), until));
    if (!context.lost().stop_requested()) seen->ends(id);
    co_return ++s;
  }

  std::shared_ptr<SeenRun> seen;
};

// Of the same name, in a program that allows less.
struct SingleCrane : Crane {
  using Crane::Crane;
  static constexpr int kConcurrencyLimit = 1;
};

Task<void> pass(World& world, Duration span) {
  must(co_await sleep_for(world.clock(), span));
}

Task<void> send(World& world, std::string id, int count) {
  for (int i = 1; i <= count; ++i) {
    const Mailer::Send message{i};
    must(co_await world.ref<Mailer>(id).cast(message));
  }
}

std::vector<std::int64_t> one_to(std::int64_t count) {
  std::vector<std::int64_t> numbers;
  for (std::int64_t i = 1; i <= count; ++i) numbers.push_back(i);
  return numbers;
}

// (18, type, key), and all below it.
KeyRange limit_space() {
  const Bytes key = limit_tuple();
  return {key, key + '\xff'};
}
Bytes place_key(std::string_view key, std::string_view id) {
  Bytes row = limit_tuple();
  TupleWriter(row).add_text("Crane").add_text(key).add(1).add_text(id);
  return row;
}

SERVER_TEST(TypeLimits, messages_are_handled_at_their_rate_each_once_and_in_order) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  const MonotonicTime began = world.clock().now();
  auto& server = *co_await world.serve(std::make_shared<Mailer>(seen));
  for (const char* id : {"a/1", "a/2", "a/3"}) co_await send(world, id, 20);
  for (const char* id : {"a/1", "a/2", "a/3"}) {
    co_await world.until_processed(world.ref<Mailer>(id).untyped());
  }
  EXPECT_LE(seen->over("a", Mailer::kRateLimit), 0);
  const auto took = seen->last_of("a") - began;
  EXPECT_GE(took, 5s);
  if (world.is_steady()) {
    EXPECT_LE(took, 8s);
    for (const char* id : {"a/1", "a/2", "a/3"}) EXPECT_EQ(seen->numbers_of(id), one_to(20));
  }
  EXPECT_GE(server.host().statistics().limited, 1u);
  EXPECT_EQ(server.host().statistics().failures, 0u);
  co_await world.until_clean();
}

SERVER_TEST(TypeLimits, a_hot_key_and_a_hot_entity_keep_nobody_waiting) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  co_await world.serve(std::make_shared<Mailer>(seen));
  co_await send(world, "hot/1", 200);
  const MonotonicTime began = world.clock().now();
  co_await send(world, "cold/1", 3);
  co_await send(world, "hot/2", 5);
  co_await world.until_processed(world.ref<Mailer>("cold/1").untyped());
  EXPECT_LE(seen->last_of("cold") - began, 1s);
  // Of one key, they take turns.
  co_await world.until_processed(world.ref<Mailer>("hot/2").untyped());
  EXPECT_LE(world.clock().now() - began, 4s);
  EXPECT_GE(must(co_await world.ref<Mailer>("hot/1").queue_length()), 100u);
  co_await world.until_processed(world.ref<Mailer>("hot/1").untyped());
  EXPECT_LE(seen->over("hot", Mailer::kRateLimit), 0);
}

SERVER_TEST(TypeLimits, who_has_waited_longer_is_the_next) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  co_await world.serve(std::make_shared<Mailer>(seen));
  co_await world.serve(std::make_shared<Crane>(seen));
  co_await send(world, "a/0", 20);
  const Crane::Lift long_one{2'000};
  for (const char* id : {"b/y", "b/z"}) must(co_await world.ref<Crane>(id).cast(long_one));
  co_await pass(world, 1s);
  std::vector<std::string> order;
  for (int i = 0; i < 8; ++i) {
    const std::string last = "/" + std::to_string(9 - i);
    co_await send(world, "a" + last, 1);
    const Crane::Lift quick{10};
    must(co_await world.ref<Crane>("b" + last).cast(quick));
    order.push_back(last);
    co_await pass(world, 10ms);
  }
  for (const auto& last : order) {
    co_await world.until_processed(world.ref<Mailer>("a" + last).untyped());
    co_await world.until_processed(world.ref<Crane>("b" + last).untyped());
  }
  if (!world.is_steady()) co_return;
  std::vector<std::string> poured;
  std::vector<std::string> lifted;
  for (const auto& run : seen->runs) {
    if (run.id != "a/0") poured.push_back(run.id.substr(1));
  }
  for (const auto& id : seen->begun) {
    if (id != "b/y" && id != "b/z") lifted.push_back(id.substr(1));
  }
  EXPECT_EQ(poured, order);
  EXPECT_EQ(lifted, order);
}

SERVER_TEST(TypeLimits, hosts_share_a_rate_whoever_of_them_is_killed_or_stopped) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  auto& first = *co_await world.serve(std::make_shared<Mailer>(seen));
  co_await world.serve(std::make_shared<Mailer>(seen));
  auto& third = *co_await world.serve(std::make_shared<Mailer>(seen));
  for (int i = 0; i < 20; ++i) co_await send(world, "a/" + std::to_string(i), 8);
  co_await pass(world, 2s);
  first.kill();
  co_await pass(world, 1s);
  third.freeze();
  co_await pass(world, 4s);
  third.thaw();
  for (int i = 0; i < 20; ++i) {
    co_await world.until_processed(world.ref<Mailer>("a/" + std::to_string(i)).untyped());
  }
  EXPECT_LE(seen->over("a", Mailer::kRateLimit), 0);
  co_await world.until_clean();
}

SERVER_TEST(TypeLimits, of_two_hosts_neither_keeps_a_key_from_the_other) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  auto& first = *co_await world.serve(std::make_shared<Mailer>(seen));
  auto& second = *co_await world.serve(std::make_shared<Mailer>(seen));
  for (int i = 0; i < 30; ++i) co_await send(world, "a/" + std::to_string(i), 5);
  co_await pass(world, 9s);
  // Who has found few of the entities, because of faults, has little to do.
  const std::uint64_t few = world.is_steady() ? 10 : 2;
  EXPECT_GE(first.host().statistics().messages, few);
  EXPECT_GE(second.host().statistics().messages, few);
  EXPECT_LE(seen->over("a", Mailer::kRateLimit), 0);
  // Together they do most of what is allowed.
  EXPECT_GE(seen->runs.size(), world.is_steady() ? 60u : 30u);
}

SERVER_TEST(TypeLimits, a_restart_brings_no_tokens) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  co_await send(world, "a/1", 60);
  for (int i = 0; i < 6; ++i) {
    auto& server = *co_await world.serve(std::make_shared<Mailer>(seen));
    co_await pass(world, 100ms);
    if (i % 2 == 0) {
      server.kill();
    } else {
      must(co_await server.run(server.host().stop()));
    }
  }
  co_await world.serve(std::make_shared<Mailer>(seen));
  co_await world.until_processed(world.ref<Mailer>("a/1").untyped());
  EXPECT_LE(seen->over("a", Mailer::kRateLimit), 0);
}

SERVER_TEST(TypeLimitsInAnyTime, calls_are_answered_in_their_turn) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  auto& server = *co_await world.serve(std::make_shared<Mailer>(seen));
  CallOptions patient{world.patience()};
  auto mailer = server.ref<Mailer>("a/1");
  for (std::int64_t i = 1; i <= 12; ++i) {
    const Mailer::Send message{i};
    EXPECT_EQ(must(co_await mailer.call(message, patient)), i);
  }
  // Past the limit.
  EXPECT_EQ(must(co_await mailer.priority_call(Mailer::Look{}, patient)), 12);
}

SERVER_TEST(TypeLimits, a_run_that_fails_takes_a_token_and_waiting_is_no_attempt) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  auto& server = *co_await world.serve(std::make_shared<Mailer>(seen));
  co_await send(world, "a/1", 30);
  must(co_await world.ref<Mailer>("a/1").cast(Mailer::Fall{}));
  co_await send(world, "a/1", 3);
  co_await world.until_processed(world.ref<Mailer>("a/1").untyped());
  EXPECT_LE(seen->over("a", Mailer::kRateLimit), 0);
  const EntityId id{"Mailer", "a/1"};
  EXPECT_THAT(co_await world.letters_of(id), SizeIs(1));
  EXPECT_EQ(server.host().statistics().failures, 3u);
}

SERVER_TEST(TypeLimits, what_waits_says_so_and_what_is_full_leaves_nothing_behind) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  co_await world.serve(std::make_shared<Mailer>(seen));
  co_await send(world, "a/1", 40);
  co_await send(world, "a/2", 40);
  for (int i = 0; i < 60; ++i) co_await send(world, "a/x" + std::to_string(i), 1);
  const EntityId last{"Mailer", "a/x59"};
  std::optional<LimitedView> said;
  auto says = [&]() -> Task<bool> {
    auto view = co_await inspect(Tenant(world.store()), last);
    if (view && view->limited) said = view->limited;
    co_return said.has_value();
  };
  co_await world.eventually(says);
  EXPECT_TRUE(said->is_rate);
  EXPECT_EQ(said->key, "a");
  for (const char* id : {"a/1", "a/2", "a/x59"}) {
    co_await world.until_processed(world.ref<Mailer>(id).untyped());
  }
  co_await world.until_clean();
  EXPECT_FALSE((co_await world.look_at(last)).limited);
  const Bytes note = entity_key(last, 10);
  EXPECT_THAT(co_await world.rows({note, note + '\x00'}), IsEmpty());
  co_await pass(world, 3s);
  EXPECT_THAT(co_await world.rows(limit_space()), IsEmpty());
}

Task<void> lift(World& world, std::string id, std::int64_t ms = 300) {
  const Crane::Lift message{ms};
  must(co_await world.ref<Crane>(std::move(id)).cast(message));
}

Task<void> until_lifted(World& world, int count, std::string key = "a") {
  for (int i = 0; i < count; ++i) {
    co_await world.until_processed(world.ref<Crane>(key + "/" + std::to_string(i)).untyped());
  }
}

SERVER_TEST(TypeLimits, so_many_of_a_key_run_under_their_locks_at_a_time) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  HostOptions many = quick_options();
  many.locked_threads = 8;
  co_await world.serve(std::make_shared<Crane>(seen), many);
  co_await world.serve(std::make_shared<Crane>(seen), many);
  for (int i = 0; i < 12; ++i) co_await lift(world, "a/" + std::to_string(i));
  const MonotonicTime began = world.clock().now();
  co_await lift(world, "b/0");
  co_await world.until_processed(world.ref<Crane>("b/0").untyped());
  if (world.is_steady()) {
    EXPECT_LE(world.clock().now() - began, 1s);
  }
  co_await until_lifted(world, 12);
  EXPECT_EQ(seen->most["a"], 2);
  if (world.is_steady()) {
    EXPECT_LE(world.clock().now() - began, 5s);
    EXPECT_THAT(seen->begun, SizeIs(13));
  }
  co_await world.until_clean();
  // Counters of the two keys, and no place.
  EXPECT_LE((co_await world.rows(limit_space())).size(), 2u);
}

SERVER_TEST(TypeLimits, a_free_place_is_taken_at_once_wherever_it_was_given_back) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  co_await world.serve(std::make_shared<Crane>(seen));
  co_await world.serve(std::make_shared<Crane>(seen));
  for (int i = 0; i < 30; ++i) co_await lift(world, "a/" + std::to_string(i), 50);
  const MonotonicTime began = world.clock().now();
  co_await until_lifted(world, 30);
  if (world.is_steady()) {
    EXPECT_LE(world.clock().now() - began, 2s);
  }
  EXPECT_EQ(seen->most["a"], 2);
}

SERVER_TEST(TypeLimits, tokens_of_a_host_that_was_paused_are_not_used_later) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  for (int i = 0; i < 10; ++i) {
    for (int number = 1; number <= 6; ++number) {
      const Mailer::Send message{number};
      must(co_await world.ref<SlowMailer>("a/" + std::to_string(i)).cast(message));
    }
  }
  // Each is stopped when it has taken tokens, and before it can use them.
  std::vector<Process*> hosts;
  std::vector<std::shared_ptr<FaultyBackend>> stores;
  Bytes bucket = limit_tuple();
  TupleWriter(bucket).add_text("SlowMailer").add_text("a");
  for (int i = 0; i < 4; ++i) {
    std::shared_ptr<FaultyBackend> faults;
    const Store store = co_await world.open_faulty(faults);
    StoreFaults slow;
    slow.delay = 1;
    slow.delay_by = 300ms;
    Process* const host = world.process(store);
    host->host().serve(std::make_shared<SlowMailer>(seen));
    must(co_await host->run(host->host().start()));
    faults->set_faults(slow);
    const auto before = co_await world.rows({bucket, bucket + '\x00'});
    while (true) {
      const auto now = co_await world.rows({bucket, bucket + '\x00'});
      if (!now.empty() && (before.empty() || now.front().value != before.front().value)) break;
      co_await pass(world, 1ms);
    }
    host->freeze();
    hosts.push_back(host);
    stores.push_back(faults);
    co_await pass(world, 12s);  // it is full again
  }
  for (const auto& faults : stores) faults->set_faults({});
  for (Process* host : hosts) host->thaw();
  co_await pass(world, 40s);
  EXPECT_LE(seen->over("a", SlowMailer::kRateLimit), 0);
  EXPECT_GE(seen->runs.size(), 20u);
}

SERVER_TEST(TypeLimits, a_killed_holder_gives_its_place_to_who_takes_its_lock_over) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  auto& first = *co_await world.serve(std::make_shared<Crane>(seen));
  for (int i = 0; i < 6; ++i) co_await lift(world, "a/" + std::to_string(i), 2'000);
  co_await world.eventually([&] { return seen->running.size() == 2; });
  first.kill();
  co_await world.serve(std::make_shared<Crane>(seen));
  co_await until_lifted(world, 6);
  EXPECT_EQ(seen->most["a"], 2);
  EXPECT_THAT(seen->begun.size(), Ge(8u));  // those two again
  co_await world.until_clean();
}

SERVER_TEST(TypeLimits, who_waits_here_for_the_place_that_it_has_by_a_host_that_died_is_seen_to) {
  constexpr int kCranes = 16;
  const auto seen = std::make_shared<SeenRun>(world.clock());
  co_await world.serve(std::make_shared<SingleCrane>(seen));
  co_await lift(world, "a/x", 3'000);
  co_await world.eventually([&] { return seen->running.size() == 1; });
  for (int i = 0; i < kCranes; ++i) co_await lift(world, "a/" + std::to_string(i), 1'000);
  co_await pass(world, 1s);
  auto& second = *co_await world.serve(std::make_shared<SingleCrane>(seen));
  co_await world.eventually([&] { return second.host().statistics().locks == 1; });
  second.kill();
  co_await until_lifted(world, kCranes);
  EXPECT_EQ(seen->most["a"], 1);
  co_await world.until_clean();
}

SERVER_TEST(TypeLimits, what_is_unlocked_reset_or_killed_gives_its_place_back) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  auto& server = *co_await world.serve(std::make_shared<Crane>(seen));
  constexpr std::int64_t kLong = 3'000'000;
  co_await lift(world, "a/7", kLong);
  co_await lift(world, "a/8", kLong);
  co_await world.eventually([&] { return seen->running.size() == 2; });
  for (int i = 0; i < 4; ++i) co_await lift(world, "a/" + std::to_string(i));
  co_await pass(world, 3s);
  EXPECT_THAT(seen->begun, SizeIs(2));
  must(co_await world.ref<Crane>("a/7").kill());
  must(co_await world.ref<Crane>("a/8").kill());
  const MonotonicTime began = world.clock().now();
  co_await until_lifted(world, 4);
  if (world.is_steady()) {
    EXPECT_LE(world.clock().now() - began, 8s);
  }
  static_cast<void>(server);
}

SERVER_TEST(TypeLimits, rows_of_places_that_nobody_holds_keep_nobody) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  for (const char* ghost : {"a/ghost", "a/other", "a/third"}) {
    co_await world.put(place_key("a", ghost), Bytes());
  }
  co_await world.serve(std::make_shared<Crane>(seen));
  for (int i = 0; i < 4; ++i) co_await lift(world, "a/" + std::to_string(i));
  co_await until_lifted(world, 4);
  EXPECT_EQ(seen->most["a"], 2);
}

SERVER_TEST(TypeLimits, a_lowered_limit_holds_for_who_comes_next) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  auto& first = *co_await world.serve(std::make_shared<Crane>(seen));
  co_await lift(world, "a/0", 1'000);
  co_await lift(world, "a/1", 1'000);
  co_await world.eventually([&] { return seen->running.size() == 2; });
  first.kill();
  seen->most.clear();
  co_await world.serve(std::make_shared<SingleCrane>(seen));
  for (int i = 2; i < 6; ++i) co_await lift(world, "a/" + std::to_string(i), 100);
  co_await until_lifted(world, 2);
  seen->most.clear();
  co_await until_lifted(world, 6);
  EXPECT_EQ(seen->most["a"], 1);
}

SERVER_TEST(TypeLimitsInAnyTime, calls_wait_for_a_place) {
  const auto seen = std::make_shared<SeenRun>(world.clock());
  auto& server = *co_await world.serve(std::make_shared<Crane>(seen));
  CallOptions patient{world.patience()};
  auto body = [&](int i) -> Task<void> {
    const Crane::Lift quick{20};
    auto crane = server.ref<Crane>("a/" + std::to_string(i));
    EXPECT_EQ(must(co_await crane.call(quick, patient)), 1);
  };
  co_await world.in_parallel(6, body);
}

}  // namespace
}  // namespace semper::testing
