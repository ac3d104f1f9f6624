// Everything at once, over a store that conflicts, answers late, or does not say what it did; from
// a seed. Each effect once, each answer true.
#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "behaviours.h"
#include "world.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

constexpr int kChaosCallers = 64;
constexpr int kChaosEntities = 8;
constexpr int kChaosRounds = 6;
constexpr int kWorldsOfEach = 4;

// Keeps every number that it was given.
struct Ledger {
  using State = std::vector<std::uint64_t>;
  struct Book {
    std::uint64_t number = 0;
    using Reply = std::uint64_t;  // how many there are with it
  };
  // With the lock, and some time for others to find the entity locked.
  struct BookSlowly {
    std::uint64_t number = 0;
    using Reply = std::uint64_t;
  };
  struct Read {
    using Reply = std::vector<std::uint64_t>;
  };
  using Messages = semper::Messages<Book, BookSlowly, Read>;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::uint64_t> handle_call(const Book& m, State& s, Context&) {
    s.push_back(m.number);
    return s.size();
  }
  void handle_cast(const Book& m, State& s, Context&) { s.push_back(m.number); }
  Reply<std::uint64_t> handle_call(const BookSlowly&, State&, Context&) { return lock(); }
  Task<Reply<std::uint64_t>> handle_locked(const BookSlowly& m, State& s, LockedContext& context) {
    static_cast<void>(co_await sleep_for(context.clock(), 20ms));
    s.push_back(m.number);
    co_return s.size();
  }
  Reply<std::vector<std::uint64_t>> handle_call(const Read&, State& s, Context&) { return s; }
};

std::vector<WorldKind> chaotic_worlds(double unknown) {
  StoreFaults faults;
  faults.conflict = 0.1;
  faults.unknown_applied = unknown;
  faults.unknown_lost = unknown;
  faults.unknown_late = unknown;
  faults.late_by = 30ms;
  faults.snapshot_refused = 0.01;
  faults.delay = 0.3;
  faults.delay_by = 4ms;
  faults.watch_late = 0.3;
  faults.watch_spurious = 0.2;
  std::vector<WorldKind> kinds;
  for (int i = 0; i < kWorldsOfEach; ++i) {
    WorldKind kind = worlds_in(TimeKind::simulated).front();
    kind.name = "seed_plus_" + std::to_string(i);
    kind.seed_offset = static_cast<std::uint64_t>(i);
    kind.faults = faults;
    kinds.push_back(std::move(kind));
  }
  return kinds;
}

SERVER_SUITE_ON(Conflicts, chaotic_worlds(0));
SERVER_SUITE_ON(UnknownOutcomes, chaotic_worlds(0.04));

// What the callers were told, by entity.
struct Told {
  std::map<int, std::set<std::uint64_t>> done;
  std::map<int, std::set<std::uint64_t>> uncertain;
};

std::uint64_t number_of(int caller, int round) {
  return static_cast<std::uint64_t>(caller * 1000 + round);
}

// No fault here explains that a call waits for an hour: a timeout is a reply that was lost.
bool is_uncertain(const Error& error) {
  return error.kind() == ErrorKind::outcome_unknown || error.kind() == ErrorKind::closed;
}

// One caller: a call or cast per round, again where it was told that nothing happened.
Task<void> send_all(World& world, Process* process, int caller, Told& told) {
  const int entity = caller % kChaosEntities;
  const std::string id = std::to_string(entity);
  auto ledger = process == nullptr ? world.ref<Ledger>(id) : process->ref<Ledger>(id);
  CallOptions patient{1h};
  for (int round = 0; round < kChaosRounds; ++round) {
    const std::uint64_t number = number_of(caller, round);
    const Ledger::Book book{number};
    const Ledger::BookSlowly slowly{number};
    for (int attempt = 0;; ++attempt) {
      Status status;
      if (caller % 16 == 5 && round == 2) {
        auto counted = co_await ledger.call(slowly, patient);
        if (!counted) status = fail(counted.error());
      } else if ((caller + round) % 2 == 0) {
        auto counted = co_await ledger.call(book, patient);
        if (!counted) status = fail(counted.error());
      } else {
        status = co_await ledger.cast(book);
      }
      if (status) {
        told.done[entity].insert(number);
        break;
      }
      if (is_uncertain(status.error())) {
        told.uncertain[entity].insert(number);
        break;
      }
      if (!status.error().is_retryable() || attempt > 100) {
        throw CaseFailure("caller " + std::to_string(caller) + ": " + status.error().to_string());
      }
      must(co_await sleep_for(world.clock(), 1ms));
    }
  }
}

// `again`: how often an operation of the case itself that meets a fault is tried.
template <class Operation>
auto insist(World& world, Operation operation) -> decltype(operation()) {
  for (int attempt = 0; attempt < 200; ++attempt) {
    auto result = co_await operation();
    if (result || attempt == 199) co_return result;
    must(co_await sleep_for(world.clock(), 10ms));
  }
}

Task<void> check_all(World& world, const Told& told) {
  std::size_t uncertain = 0;
  for (int entity = 0; entity < kChaosEntities; ++entity) {
    auto ledger = world.ref<Ledger>(std::to_string(entity));
    auto is_done = [&]() -> Task<bool> {
      auto length = co_await ledger.queue_length();
      co_return length&&* length == 0;
    };
    co_await world.eventually(is_done);
    CallOptions patient{1h};
    auto read = [&]() -> Async<std::vector<std::uint64_t>> {
      co_return co_await ledger.call(Ledger::Read{}, patient);
    };
    auto numbers = must(co_await insist(world, read));
    std::sort(numbers.begin(), numbers.end());
    EXPECT_EQ(std::adjacent_find(numbers.begin(), numbers.end()), numbers.end())
        << "applied twice, in entity " << entity;
    const auto& done = told.done.at(entity);
    for (const auto number : done) {
      EXPECT_TRUE(std::binary_search(numbers.begin(), numbers.end(), number))
          << number << " was acknowledged and is lost, in entity " << entity;
    }
    const auto found = told.uncertain.find(entity);
    for (const auto number : numbers) {
      EXPECT_TRUE(done.count(number) > 0 ||
                  (found != told.uncertain.end() && found->second.count(number) > 0))
          << number << " was refused and is there, in entity " << entity;
    }
    if (found != told.uncertain.end()) uncertain += found->second.size();
    auto look = [&]() -> Async<EntityView> {
      co_return co_await inspect(world.store(), ledger.entity());
    };
    EXPECT_EQ(must(co_await insist(world, look)).dead_letters, 0u);
  }
  // Markers resolve nearly all unknown outcomes.
  EXPECT_LE(uncertain, static_cast<std::size_t>(kChaosCallers * kChaosRounds / 10));
}

Task<void> run_all(World& world, bool with_deaths) {
  std::vector<Process*> hosts;
  for (int i = 0; i < 3; ++i) {
    Process* made = co_await world.process();
    made->host().serve<Ledger>();
    auto start = [&]() -> Async<void> { co_return co_await made->run(made->host().start()); };
    must(co_await insist(world, start));
    hosts.push_back(made);
  }
  Told told;
  co_await world.in_parallel(kChaosCallers + 1, [&](int who) -> Task<void> {
    if (who < kChaosCallers) {
      co_await send_all(world, who % 3 == 0 ? hosts[0] : nullptr, who, told);
      co_return;
    }
    if (!with_deaths) co_return;
    must(co_await sleep_for(world.clock(), 100ms));
    hosts[1]->kill();
  });
  co_await check_all(world, told);
}

SERVER_TEST(Conflicts, every_effect_happens_once_and_every_answer_is_true) {
  co_await run_all(world, false);
}

SERVER_TEST(Conflicts, every_effect_happens_once_although_a_host_dies) {
  co_await run_all(world, true);
}

SERVER_TEST(UnknownOutcomes,
            every_effect_happens_at_most_once_and_every_acknowledged_one_is_there) {
  co_await run_all(world, false);
}

SERVER_TEST(UnknownOutcomes, every_acknowledged_effect_is_there_although_a_host_dies) {
  co_await run_all(world, true);
}

}  // namespace
}  // namespace semper::testing
