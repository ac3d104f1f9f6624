// Workloads: many transactions at once, and an invariant that any lost or half update breaks.
#include <atomic>
#include <mutex>
#include <set>

#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

// Hot keys make many attempts; what matters here is that none goes wrong.
TransactOptions for_a_workload() {
  return {.max_attempts = 100'000, .timeout = std::chrono::hours(1)};
}

SeededRandom random_of(const World& world, int worker) {
  return SeededRandom(world.seed() * 1'000'003 + static_cast<std::uint64_t>(worker));
}

// Lets others come between two steps of a transaction, now and then.
Task<void> maybe_yield(Random& random) {
  if (random.chance(0.5)) co_await yield_now();
}

Async<int> read_number(Transaction& transaction, Bytes key) {
  SEMPER_CO_TRY(const auto value, co_await transaction.get(key));
  if (!value) co_return fail(ErrorKind::not_found, "key " + key + " is gone");
  co_return std::stoi(*value);
}

// ---- a bank: what leaves one account arrives at another ----

constexpr int kAccounts = 10;
constexpr int kBalance = 100;

Bytes account(std::uint64_t i) {
  return "account/" + std::to_string(i);
}

Async<int> transfer(Transaction& transaction, Random& random) {
  const auto from = random.below(kAccounts);
  const auto to = (from + 1 + random.below(kAccounts - 1)) % kAccounts;
  SEMPER_CO_TRY(const int have, co_await read_number(transaction, account(from)));
  co_await maybe_yield(random);
  SEMPER_CO_TRY(const int has, co_await read_number(transaction, account(to)));
  const int amount = static_cast<int>(random.below(static_cast<std::uint64_t>(have) + 1));
  transaction.set(account(from), std::to_string(have - amount));
  transaction.set(account(to), std::to_string(has + amount));
  co_await maybe_yield(random);
  co_return amount;
}

Task<int> sum_of_accounts(World& world) {
  int sum = 0;
  for (const auto& row : co_await world.read_all({"account/", "account0"})) {
    sum += std::stoi(row.value);
  }
  co_return sum;
}

Task<void> money_is_neither_made_nor_lost(World& world) {
  constexpr int kWorkers = 16;
  constexpr int kTransfers = 25;
  Rows rows;
  for (std::uint64_t i = 0; i < kAccounts; ++i) {
    rows.push_back({account(i), std::to_string(kBalance)});
  }
  co_await world.put(rows);
  co_await world.in_parallel(kWorkers, [&](int worker) -> Task<void> {
    auto random = random_of(world, worker);
    for (int i = 0; i < kTransfers; ++i) {
      must(co_await world.store().transact(
          [&](Transaction& transaction) { return transfer(transaction, random); },
          for_a_workload()));
      if (worker % 4 == 0) {
        EXPECT_EQ(co_await sum_of_accounts(world), kAccounts * kBalance);
      }
    }
  });
  EXPECT_EQ(co_await sum_of_accounts(world), kAccounts * kBalance);
}

// ---- a cycle: each node names the next; swapping three edges keeps it one cycle ----

constexpr int kNodes = 20;

Bytes node(int i) {
  return "node/" + std::to_string(i);
}

Async<int> rotate(Transaction& transaction, Random& random) {
  const int first = static_cast<int>(random.below(kNodes));
  SEMPER_CO_TRY(const int second, co_await read_number(transaction, node(first)));
  SEMPER_CO_TRY(const int third, co_await read_number(transaction, node(second)));
  co_await maybe_yield(random);
  SEMPER_CO_TRY(const int fourth, co_await read_number(transaction, node(third)));
  transaction.set(node(first), std::to_string(third));
  transaction.set(node(third), std::to_string(second));
  transaction.set(node(second), std::to_string(fourth));
  co_return 0;
}

Task<int> length_of_cycle(World& world) {
  auto transaction = world.begin();
  int at = 0;
  for (int steps = 1; steps <= kNodes; ++steps) {
    at = must(co_await read_number(transaction, node(at)));
    if (at == 0) co_return steps;
  }
  co_return -1;
}

Task<void> a_cycle_of_keys_stays_one_cycle(World& world) {
  constexpr int kWorkers = 12;
  constexpr int kRotations = 25;
  Rows rows;
  for (int i = 0; i < kNodes; ++i) rows.push_back({node(i), std::to_string((i + 1) % kNodes)});
  co_await world.put(rows);
  co_await world.in_parallel(kWorkers, [&](int worker) -> Task<void> {
    auto random = random_of(world, worker);
    for (int i = 0; i < kRotations; ++i) {
      must(co_await world.store().transact(
          [&](Transaction& transaction) { return rotate(transaction, random); }, for_a_workload()));
      if (worker == 0) {
        EXPECT_EQ(co_await length_of_cycle(world), kNodes);
      }
    }
  });
  EXPECT_EQ(co_await length_of_cycle(world), kNodes);
}

// ---- counters ----

Task<void> no_increment_of_a_hot_key_is_lost(World& world) {
  constexpr int kWorkers = 16;
  constexpr int kIncrements = 25;
  const Store other = co_await world.open();
  co_await world.put(rows_of("n", "0"));
  co_await world.in_parallel(kWorkers, [&](int worker) -> Task<void> {
    auto random = random_of(world, worker);
    for (int i = 0; i < kIncrements; ++i) {
      must(co_await (worker % 2 == 0 ? world.store() : other)
               .transact(
                   [&](Transaction& transaction) -> Async<int> {
                     SEMPER_CO_TRY(const int n, co_await read_number(transaction, "n"));
                     co_await maybe_yield(random);
                     transaction.set("n", std::to_string(n + 1));
                     co_return 0;
                   },
                   for_a_workload()));
    }
  });
  EXPECT_EQ(co_await world.read("n"), std::to_string(kWorkers * kIncrements));
}

// As a cache does it: nobody reads while what he holds is still good.
Task<void> no_increment_on_a_held_read_is_lost(World& world) {
  constexpr int kWorkers = 16;
  constexpr int kIncrements = 25;
  co_await world.put(rows_of("n", "0"));
  std::atomic<int> without_reading{0};
  co_await world.in_parallel(kWorkers, [&](int worker) -> Task<void> {
    auto random = random_of(world, worker);
    std::optional<Version> held;
    int value = 0;
    for (int done = 0; done < kIncrements;) {
      if (!held) {
        auto reader = world.begin();
        held = must(co_await reader.read_version());
        value = must(co_await read_number(reader, "n"));
      }
      auto writer = world.begin({.read_version = held});
      writer.assume_unchanged(KeyRange::point("n"), 1);
      writer.set("n", std::to_string(value + 1));
      const auto committed = co_await writer.commit();
      if (committed) {
        held = committed->version();
        ++value;
        ++done;
        ++without_reading;
      } else {
        EXPECT_EQ(committed.error().kind(), ErrorKind::conflict) << committed.error().to_string();
        held.reset();
      }
      co_await maybe_yield(random);
    }
  });
  EXPECT_EQ(co_await world.read("n"), std::to_string(kWorkers * kIncrements));
  EXPECT_EQ(without_reading, kWorkers * kIncrements);
}

Task<void> thousands_of_transactions_at_once_all_take_effect(World& world) {
  constexpr int kTransactions = 3'000;
  co_await world.in_parallel(kTransactions, [&](int i) -> Task<void> {
    must(co_await world.store().transact(
        [&](Transaction& transaction) -> Async<int> {
          const Bytes key = "own/" + std::to_string(i);
          SEMPER_CO_TRY(const auto before, co_await transaction.get(key));
          co_await yield_now();
          transaction.set(key, before ? "twice" : "once");
          transaction.add("total", 1);
          co_return 0;
        },
        for_a_workload()));
  });
  EXPECT_EQ(co_await world.read("total"), number(kTransactions));
  const auto rows = co_await world.read_all({"own/", "own0"});
  EXPECT_EQ(rows.size(), std::size_t{kTransactions});
  for (const auto& row : rows) EXPECT_EQ(row.value, "once") << row.key;
}

// ---- a queue: stamped keys in, the first row out ----

Async<Bytes> take_first(Transaction& transaction) {
  SEMPER_CO_TRY(const auto page,
                co_await transaction.get_range({"queue/", "queue0"}, {.limit = 1}));
  if (page.rows.empty()) co_return Bytes();
  co_await yield_now();
  transaction.clear(page.rows.front().key);
  co_return page.rows.front().value;
}

Task<void> each_item_of_a_queue_is_taken_once(World& world) {
  constexpr int kProducers = 4;
  constexpr int kConsumers = 4;
  constexpr int kItems = 40;
  std::mutex mutex;
  std::multiset<Bytes> taken;
  std::atomic<int> producing{kProducers};
  co_await world.in_parallel(kProducers + kConsumers, [&](int worker) -> Task<void> {
    if (worker < kProducers) {
      for (int i = 0; i < kItems; ++i) {
        must(co_await world.store().transact(
            [&](Transaction& transaction) -> Async<int> {
              transaction.set_versionstamped_key("queue/" + Bytes(Versionstamp::store_size, '\0'),
                                                 6,
                                                 std::to_string(worker) + "-" + std::to_string(i));
              co_return 0;
            },
            for_a_workload()));
      }
      --producing;
      co_return;
    }
    while (true) {
      const bool last_look = producing == 0;
      const Bytes item = must(co_await world.store().transact(take_first, for_a_workload()));
      if (!item.empty()) {
        std::lock_guard lock(mutex);
        taken.insert(item);
      } else if (last_look) {
        co_return;
      } else {
        co_await sleep_for(world.clock(), std::chrono::microseconds(100));
      }
    }
  });
  EXPECT_EQ(taken.size(), std::size_t{kProducers} * kItems);
  EXPECT_EQ(std::set<Bytes>(taken.begin(), taken.end()).size(), taken.size());
  EXPECT_TRUE((co_await world.read_all({"queue/", "queue0"})).empty());
}

// ---- duty: of each pair at least one stays ----

Task<void> at_least_one_of_each_pair_stays_on_duty(World& world) {
  constexpr int kPairs = 40;
  Rows rows;
  for (int i = 0; i < 2 * kPairs; ++i) rows.push_back({"duty/" + std::to_string(i), "on"});
  co_await world.put(rows);
  co_await world.in_parallel(2 * kPairs, [&](int worker) -> Task<void> {
    auto random = random_of(world, worker);
    const Bytes mine = "duty/" + std::to_string(worker);
    const Bytes partner = "duty/" + std::to_string(worker ^ 1);
    must(co_await world.store().transact(
        [&](Transaction& transaction) -> Async<int> {
          SEMPER_CO_TRY(const auto theirs, co_await transaction.get(partner));
          co_await maybe_yield(random);
          if (theirs == "on") transaction.set(mine, "off");
          co_return 0;
        },
        for_a_workload()));
  });
  for (int i = 0; i < 2 * kPairs; i += 2) {
    const auto one = co_await world.read("duty/" + std::to_string(i));
    const auto other = co_await world.read("duty/" + std::to_string(i + 1));
    EXPECT_NE(one, other) << "pair " << i / 2;
  }
}

constexpr Case kWorkloadCases[] = {
    {"money_is_neither_made_nor_lost", money_is_neither_made_nor_lost},
    {"a_cycle_of_keys_stays_one_cycle", a_cycle_of_keys_stays_one_cycle},
    {"no_increment_of_a_hot_key_is_lost", no_increment_of_a_hot_key_is_lost},
    {"no_increment_on_a_held_read_is_lost", no_increment_on_a_held_read_is_lost},
    {"thousands_of_transactions_at_once_all_take_effect",
     thousands_of_transactions_at_once_all_take_effect},
    {"each_item_of_a_queue_is_taken_once", each_item_of_a_queue_is_taken_once},
    {"at_least_one_of_each_pair_stays_on_duty", at_least_one_of_each_pair_stays_on_duty},
};

}  // namespace

std::span<const Case> workload_cases() {
  return kWorkloadCases;
}

}  // namespace semper::testing::conformance
