// Many entities with a message each, in one transaction; and what is unusual about one of them is
// no matter of the others.
#include <gmock/gmock.h>

#include <atomic>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(Groups);

constexpr int kGroupedEntities = 60;

bool takes_groups(const Store& store) {
  const auto& backend = store.backend();
  return backend.traits().versions_are_commits && backend.limits().transaction_operations >= 20'000;
}

// Fails, or asks for the lock, where it is told to.
struct Member {
  using State = std::int64_t;
  struct Add {};
  struct Fail {};
  struct Lock {};
  struct Tell {  // others; then fails, until it was mended
    std::string to;
  };
  struct Pass {  // on
    std::string to;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, Fail, Lock, Tell, Pass, Read>;
  Result<State> init(const EntityId&) { return 0; }
  void handle_cast(const Add&, State& s, Context&) { ++s; }
  void handle_cast(const Fail&, State&, Context&) {
    ++failures;
    throw std::runtime_error("never");
  }
  void handle_cast(const Tell& m, State& s, Context& context) {
    context.cast(semper::ref<Member>(context.tenant(), m.to), Add{});
    ++s;
    if (!is_mended && ++failures == 2) is_mended = true;
    if (!is_mended) throw std::runtime_error("not yet");
  }
  void handle_cast(const Pass& m, State& s, Context& context) {
    context.cast(semper::ref<Member>(context.tenant(), m.to), Add{});
    ++s;
  }
  Outcome handle_cast(const Lock&, State&, Context&) { return lock(); }
  void handle_locked(const Lock&, State& s, LockedContext&) { s += 100; }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s; }

  std::atomic<int> failures{0};
  std::atomic<bool> is_mended{false};
};

// A message to each, while nobody serves them.
Task<void> cast_to_all(World& world) {
  co_await world.in_parallel(kGroupedEntities, [&](int i) -> Task<void> {
    must(co_await world.ref<Member>(std::to_string(i)).cast(Member::Add{}));
  });
}

Task<void> expect_all(World& world, std::int64_t value, int but = -1) {
  for (int i = 0; i < kGroupedEntities; ++i) {
    if (i == but) continue;
    const auto read = co_await world.ref<Member>(std::to_string(i)).call(Member::Read{});
    EXPECT_EQ(must(read), value) << "entity " << i;
  }
}

SERVER_TEST(Groups, messages_to_many_entities_share_transactions) {
  co_await cast_to_all(world);
  auto& server = *co_await world.serve<Member>();
  const auto statistics = [&] { return server.host().statistics(); };
  co_await world.eventually([&] { return statistics().messages == kGroupedEntities; });
  // In real time a busy machine may cut a group off after kGroupCallbackTime.
  if (takes_groups(world.store()) && world.is_steady() && world.is_simulated()) {
    EXPECT_LE(statistics().transactions, std::uint64_t{kGroupedEntities} / 2);
    EXPECT_LE(statistics().cache_misses, std::uint64_t{kGroupedEntities} * 5 / 4)
        << "looked at in vain";
  }
  co_await expect_all(world, 1);
  co_await world.until_clean();
}

SERVER_TEST(Groups, a_host_with_several_threads_runs_each_alone) {
  co_await cast_to_all(world);
  auto options = quick_options();
  options.threads = 3;
  auto& server = *co_await world.serve<Member>(std::make_shared<Member>(), options);
  co_await world.eventually(
      [&] { return server.host().statistics().messages == kGroupedEntities; });
  EXPECT_GE(server.host().statistics().transactions, std::uint64_t{kGroupedEntities});
  co_await world.until_clean();
}

SERVER_TEST(Groups, one_that_fails_is_tried_as_often_as_ever_and_the_others_run_once) {
  must(co_await world.ref<Member>("7").cast(Member::Fail{}));
  co_await cast_to_all(world);
  auto moody = std::make_shared<Member>();
  auto options = quick_options();
  options.message_attempts = 3;
  auto& server = *co_await world.serve<Member>(moody, options);
  co_await world.eventually([&] { return server.host().statistics().dead_letters == 1; });
  co_await expect_all(world, 1);
  co_await world.until_clean();
  // Undone by a conflict, it runs once more.
  if (world.is_steady()) {
    EXPECT_EQ(moody->failures, 3);
  }
}

SERVER_TEST(Groups, what_a_failed_one_has_sent_is_not_committed_with_the_others) {
  co_await cast_to_all(world);
  Member::Tell tell{"elsewhere"};
  must(co_await world.ref<Member>("30").cast(tell));
  auto moody = std::make_shared<Member>();
  co_await world.serve<Member>(moody);
  co_await world.eventually([&]() -> Task<bool> {
    co_return must(co_await world.ref<Member>("30").call(Member::Read{})) == 2;
  });
  EXPECT_EQ(must(co_await world.ref<Member>("elsewhere").call(Member::Read{})), 1);
  co_await expect_all(world, 1, 30);
  co_await world.until_clean();
}

// Each to its neighbour, which is of the same group: before it, or after it.
SERVER_TEST(Groups, what_one_of_a_group_sends_to_another_is_processed) {
  co_await world.in_parallel(kGroupedEntities, [&](int i) -> Task<void> {
    Member::Pass pass{std::to_string((i * 7 + 1) % kGroupedEntities)};
    must(co_await world.ref<Member>(std::to_string(i)).cast(pass));
  });
  auto& server = *co_await world.serve<Member>();
  co_await world.eventually(
      [&] { return server.host().statistics().messages >= 2 * kGroupedEntities; });
  co_await expect_all(world, 2);
  co_await world.until_clean();
}

// The host knows its entities from the commit before; what was sent to one in that commit comes
// first.
SERVER_TEST(Groups, what_one_of_a_group_sends_to_another_comes_before_later_calls) {
  auto& server = *co_await world.serve<Member>();
  for (std::int64_t round = 1; round <= 5; ++round) {
    co_await world.in_parallel(kGroupedEntities, [&](int i) -> Task<void> {
      Member::Pass pass{std::to_string((i * 7 + 1) % kGroupedEntities)};
      must(co_await world.ref<Member>(std::to_string(i)).cast(pass));
    });
    for (int i = 0; i < kGroupedEntities; ++i) {
      // As soon as the neighbour has passed its message on, it is there to be read.
      const std::string passes = std::to_string(i);
      const std::string gets = std::to_string((i * 7 + 1) % kGroupedEntities);
      const auto passed = co_await server.ref<Member>(passes).call(Member::Read{});
      EXPECT_GE(must(passed), 2 * round - 1);
      EXPECT_GE(must(co_await server.ref<Member>(gets).call(Member::Read{})), 2 * round);
    }
  }
  co_await expect_all(world, 10);
  co_await world.until_clean();
}

SERVER_TEST(Groups, one_that_asks_for_the_lock_gets_it_and_the_others_run_once) {
  co_await cast_to_all(world);
  must(co_await world.ref<Member>("30").cast(Member::Lock{}));
  co_await world.serve<Member>();
  co_await world.eventually([&]() -> Task<bool> {
    co_return must(co_await world.ref<Member>("30").call(Member::Read{})) == 101;
  });
  co_await expect_all(world, 1, 30);
  co_await world.until_clean();
}

SERVER_TEST(Groups, replies_of_many_entities_find_their_callers) {
  co_await world.serve<Counter>();
  std::atomic<int> answered{0};
  co_await world.in_parallel(kGroupedEntities, [&](int i) -> Task<void> {
    for (int round = 1; round <= 3; ++round) {
      const auto sum = co_await world.ref<Counter>(std::to_string(i)).call(Counter::Add{i});
      EXPECT_EQ(must(sum), i * round);
      ++answered;
    }
  });
  EXPECT_EQ(answered, 3 * kGroupedEntities);
  co_await world.until_clean();
}

// A second host takes half of the types' shards while the first runs groups of all.
SERVER_TEST(Groups, two_hosts_run_each_message_once) {
  co_await cast_to_all(world);
  co_await world.serve<Member>();
  co_await world.serve<Member>();
  co_await cast_to_all(world);
  co_await world.eventually([&]() -> Task<bool> {
    for (int i = 0; i < kGroupedEntities; ++i) {
      const auto read = co_await world.ref<Member>(std::to_string(i)).call(Member::Read{});
      if (must(read) != 2) co_return false;
    }
    co_return true;
  });
  co_await world.until_clean();
}

// The index was read while the message was being run: the scanner's news is old when it comes.
SERVER_TEST(Groups, a_message_costs_one_look_and_one_transaction) {
  auto& server = *co_await world.serve<Counter>();
  constexpr std::uint64_t kMessages = 40;
  const auto began = world.clock().now();
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    must(co_await world.ref<Counter>(std::to_string(i % 4)).cast(Counter::Add{1}));
    co_await world.eventually([&] { return server.host().statistics().messages == i + 1; });
  }
  if (world.is_simulated() && world.is_steady()) {
    EXPECT_LT(world.clock().now() - began, 2s) << "one was found by the safety round";
  }
  co_await world.until_clean();
  if (takes_groups(world.store()) && world.is_steady() && world.is_simulated()) {
    const auto statistics = server.host().statistics();
    EXPECT_EQ(statistics.transactions, kMessages);
    EXPECT_LE(statistics.cache_misses, kMessages + kMessages / 10);
  }
}

}  // namespace
}  // namespace semper::testing
