// Calls and casts of one process to many entities at once, in one transaction; and what is unusual
// about one of them is no matter of the others.
#include <gmock/gmock.h>

#include <atomic>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

SERVER_SUITE(LocalGroups);

constexpr int kNeighbours = 40;

// Fails, sends on, or asks for the lock, where it is told to.
struct Neighbour {
  using State = std::int64_t;
  struct Add {
    using Reply = std::int64_t;
  };
  struct Fail {
    std::string to;
    using Reply = std::int64_t;
  };
  struct Pass {
    std::string to;
    using Reply = std::int64_t;
  };
  struct Lock {
    using Reply = std::int64_t;
  };
  struct Read {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, Fail, Pass, Lock, Read>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add&, State& s, Context&) { return ++s; }
  void handle_cast(const Add&, State& s, Context&) { ++s; }
  Reply<std::int64_t> handle_call(const Fail& m, State& s, Context& context) {
    context.cast(semper::ref<Neighbour>(context.tenant(), m.to), Add{});
    s += 1000;
    throw std::runtime_error("never");
  }
  Reply<std::int64_t> handle_call(const Pass& m, State& s, Context& context) {
    context.cast(semper::ref<Neighbour>(context.tenant(), m.to), Add{});
    return s;
  }
  Reply<std::int64_t> handle_call(const Lock&, State&, Context&) { return lock(); }
  Reply<std::int64_t> handle_locked(const Lock&, State& s, LockedContext&) { return s += 100; }
  Reply<std::int64_t> handle_call(const Read&, State& s, Context&) { return s; }
};

using Refs = std::function<Ref<Neighbour>(int)>;

Refs neighbours_of(Process& server) {
  return [&server](int i) { return server.ref<Neighbour>(std::to_string(i)); };
}

// On the server's own loop, all in one turn of it.
Task<void> on_all(World& world, Process& server, std::function<Task<void>(int)> body) {
  co_await server.run(world.in_parallel(kNeighbours, std::move(body)));
}

// So that the host knows them.
Task<void> make_known(World& world, Process& server) {
  const Refs to = neighbours_of(server);
  co_await on_all(world, server, [&](int i) -> Task<void> {
    EXPECT_EQ(must(co_await to(i).call(Neighbour::Add{})), 1);
  });
}

Task<void> expect_all_neighbours(World& world, std::int64_t value, int but = -1) {
  for (int i = 0; i < kNeighbours; ++i) {
    if (i == but) continue;
    const auto read = co_await world.ref<Neighbour>(std::to_string(i)).call(Neighbour::Read{});
    EXPECT_EQ(must(read), value) << "entity " << i;
  }
}

SERVER_TEST(LocalGroups, operations_of_many_entities_share_transactions) {
  auto& server = *co_await world.serve<Neighbour>();
  const Refs to = neighbours_of(server);
  co_await make_known(world, server);
  const auto before = server.host().statistics();
  co_await on_all(world, server, [&](int i) -> Task<void> {
    for (int round = 2; round <= 5; ++round) {
      EXPECT_EQ(must(co_await to(i).call(Neighbour::Add{})), round);
    }
    must(co_await to(i).cast(Neighbour::Add{}));
  });
  const auto after = server.host().statistics();
  EXPECT_EQ(after.messages - before.messages, std::uint64_t{kNeighbours} * 5);
  // A store that answers at once leaves nobody at work for others to join.
  if (world.url().starts_with("sqlite:")) {
    EXPECT_LT(after.transactions - before.transactions, std::uint64_t{kNeighbours} * 4);
  }
  co_await expect_all_neighbours(world, 6);
  co_await world.until_clean();
}

SERVER_TEST(LocalGroups, one_that_fails_is_told_and_the_others_run_once) {
  auto& server = *co_await world.serve<Neighbour>();
  const Refs to = neighbours_of(server);
  co_await make_known(world, server);
  co_await on_all(world, server, [&](int i) -> Task<void> {
    if (i % 10 == 7) {
      const auto failed = co_await to(i).call<Neighbour::Fail>("elsewhere");
      EXPECT_FALSE(failed);
    }
    EXPECT_EQ(must(co_await to(i).call(Neighbour::Add{})), 2);
  });
  co_await expect_all_neighbours(world, 2);
  EXPECT_EQ(must(co_await world.ref<Neighbour>("elsewhere").call(Neighbour::Read{})), 0)
      << "what a failed one has sent was committed with the others";
  co_await world.until_clean();
}

SERVER_TEST(LocalGroups, one_that_asks_for_the_lock_gets_it_and_the_others_run_once) {
  auto& server = *co_await world.serve<Neighbour>();
  const Refs to = neighbours_of(server);
  co_await make_known(world, server);
  co_await on_all(world, server, [&](int i) -> Task<void> {
    if (i == 30) {
      EXPECT_EQ(must(co_await to(i).call(Neighbour::Lock{})), 101);
    } else {
      EXPECT_EQ(must(co_await to(i).call(Neighbour::Add{})), 2);
    }
  });
  co_await expect_all_neighbours(world, 2, 30);
  co_await world.until_clean();
}

// The host knows its entities from the commit before; what was sent to one in that commit comes
// first.
SERVER_TEST(LocalGroups, what_one_sends_to_another_comes_before_later_calls) {
  auto& server = *co_await world.serve<Neighbour>();
  const Refs to = neighbours_of(server);
  co_await make_known(world, server);
  for (std::int64_t round = 1; round <= 4; ++round) {
    co_await on_all(world, server, [&](int i) -> Task<void> {
      const int next = (i % 20 + 7) % kNeighbours;  // two of a group send to one
      Neighbour::Pass pass{std::to_string(next)};
      must(co_await to(i).call(std::move(pass)));
      // With what this one has sent to it by then, at least.
      EXPECT_GE(must(co_await to(next).call(Neighbour::Read{})), round + 1);
    });
  }
  std::int64_t sum = 0;
  for (int i = 0; i < kNeighbours; ++i) {
    co_await world.until_processed(world.ref<Neighbour>(std::to_string(i)).untyped());
    sum += must(co_await to(i).call(Neighbour::Read{}));
  }
  EXPECT_EQ(sum, kNeighbours * 5) << "a message was lost, or came twice";
  co_await world.until_clean();
}

// Another process changes what this one believes to know.
SERVER_TEST(LocalGroups, what_another_host_has_changed_is_seen) {
  auto& one = *co_await world.serve<Neighbour>();
  auto& other = *co_await world.serve<Neighbour>();
  std::int64_t expected = 0;
  for (int round = 0; round < 3; ++round) {
    for (Process* server : {&one, &other}) {
      const Refs to = neighbours_of(*server);
      ++expected;
      co_await on_all(world, *server, [&](int i) -> Task<void> {
        EXPECT_EQ(must(co_await to(i).call(Neighbour::Add{})), expected) << "entity " << i;
      });
    }
  }
  // Both at once.
  co_await world.in_parallel(2, [&](int n) -> Task<void> {
    Process& server = n == 0 ? one : other;
    const Refs to = neighbours_of(server);
    co_await on_all(world, server, [&](int i) -> Task<void> {
      for (int k = 0; k < 3; ++k) must(co_await to(i).cast(Neighbour::Add{}));
    });
  });
  for (int i = 0; i < kNeighbours; ++i) {
    co_await world.until_processed(world.ref<Neighbour>(std::to_string(i)).untyped());
  }
  co_await expect_all_neighbours(world, expected + 6);
  co_await world.until_clean();
}

SERVER_TEST(LocalGroups, a_queued_message_is_not_overtaken_by_a_call_of_a_group) {
  auto& server = *co_await world.serve<Neighbour>();
  const Refs to = neighbours_of(server);
  co_await make_known(world, server);
  for (std::int64_t round = 1; round <= 3; ++round) {
    co_await world.in_parallel(kNeighbours, [&](int i) -> Task<void> {
      must(co_await world.ref<Neighbour>(std::to_string(i)).cast(Neighbour::Add{}));
    });
    co_await on_all(world, server, [&](int i) -> Task<void> {
      EXPECT_EQ(must(co_await to(i).call(Neighbour::Add{})), 2 * round + 1);
    });
  }
  co_await world.until_clean();
}

SERVER_TEST(LocalGroups, a_kill_in_the_middle_begins_anew) {
  auto& server = *co_await world.serve<Neighbour>();
  const Refs to = neighbours_of(server);
  co_await make_known(world, server);
  co_await on_all(world, server, [&](int i) -> Task<void> {
    if (i % 8 == 3) {
      must(co_await world.ref<Neighbour>(std::to_string(i)).kill());
      EXPECT_EQ(must(co_await to(i).call(Neighbour::Add{})), 1);
    } else {
      EXPECT_EQ(must(co_await to(i).call(Neighbour::Add{})), 2);
    }
  });
  co_await world.until_clean();
}

}  // namespace
}  // namespace semper::testing
