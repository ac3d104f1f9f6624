// Watches: a change fires them, whoever made it and whenever; nothing is lost in between.
#include <variant>

#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

// Longer than any wake-up takes; reached only where one was lost.
constexpr auto kLost = std::chrono::seconds(30);

Task<std::unique_ptr<Watch>> watch_on(const Store& store, Bytes key) {
  auto transaction = store.begin();
  co_return must(co_await transaction.watch(key));
}

Task<void> must_fire(World& world, Watch& watch, const char* what) {
  const auto fired = co_await watch.changed(world.clock().after(kLost));
  if (!fired) throw CaseFailure(std::string(what) + ": " + fired.error().to_string());
}

struct Change {
  const char* what;
  void (*make)(Transaction&);
};

constexpr Change kChanges[] = {
    {"set", [](Transaction& tx) { tx.set("key", "2"); }},
    {"clear", [](Transaction& tx) { tx.clear("key"); }},
    {"clear_range",
     [](Transaction& tx) {
       tx.clear_range({"a", "z"});
     }},
    {"add", [](Transaction& tx) { tx.add("key", 1); }},
    {"stamped value",
     [](Transaction& tx) {
       tx.set_versionstamped_value("key", Bytes(Versionstamp::store_size, '\0'), 0);
     }},
};

Task<void> every_kind_of_change_on_another_handle_fires(World& world) {
  const Store other = co_await world.open();
  for (const auto& change : kChanges) {
    co_await world.put(rows_of("key", "1"));
    const auto watch = co_await watch_on(world.store(), "key");
    auto transaction = other.begin();
    change.make(transaction);
    co_await world.must_commit(transaction);
    co_await must_fire(world, *watch, change.what);
  }
  co_await world.clear("key");
  const auto watch = co_await watch_on(world.store(), "key");
  auto creating = other.begin();
  creating.set("key", "");
  co_await world.must_commit(creating);
  co_await must_fire(world, *watch, "creation");
}

Task<void> a_change_before_the_watch_was_made_is_not_lost(World& world) {
  auto transaction = world.begin();
  must(co_await transaction.get("key"));
  co_await world.put(rows_of("key", "1"));
  const auto watch = must(co_await transaction.watch("key"));
  co_await must_fire(world, *watch, "the change came between the read and the watch");
}

Task<void> a_removal_before_the_watch_was_made_is_not_lost(World& world) {
  co_await world.put(rows_of("key", "1"));
  auto transaction = world.begin();
  must(co_await transaction.get("key"));
  co_await world.clear("key");
  const auto watch = must(co_await transaction.watch("key"));
  co_await must_fire(world, *watch, "the removal came between the read and the watch");
}

Task<void> a_change_between_the_watch_and_the_wait_is_not_lost(World& world) {
  const auto watch = co_await watch_on(world.store(), "key");
  co_await world.put(rows_of("key", "1"));
  co_await must_fire(world, *watch, "the change came before the wait");
  co_await must_fire(world, *watch, "fired once, it stays fired");
}

Task<void> a_change_while_waiting_is_not_lost(World& world) {
  for (int i = 0; i < 20; ++i) {
    const auto watch = co_await watch_on(world.store(), "key");
    co_await world.in_parallel(2, [&](int role) -> Task<void> {
      if (role == 0) {
        co_await must_fire(world, *watch, "the change came during the wait");
      } else {
        co_await yield_now();
        co_await world.put(rows_of("key", std::to_string(i)));
      }
    });
  }
}

// Two handles answer each other through one key; a single lost wake-up would stop them.
Task<void> two_that_wait_for_each_other_never_miss_a_turn(World& world) {
  constexpr int kTurns = 300;
  const Store other = co_await world.open();
  co_await world.put(rows_of("turn", "0"));
  co_await world.in_parallel(2, [&](int player) -> Task<void> {
    const Store& store = player == 0 ? world.store() : other;
    for (int turn = player; turn < kTurns; turn += 2) {
      while (true) {
        auto reader = store.begin();
        if (must(co_await reader.get("turn")) == std::to_string(turn)) break;
        const auto watch = must(co_await reader.watch("turn"));
        co_await must_fire(world, *watch, "a turn was missed");
      }
      must(co_await store.transact([turn](Transaction& tx) -> Async<int> {
        tx.set("turn", std::to_string(turn + 1));
        co_return 0;
      }));
    }
  });
  EXPECT_EQ(co_await world.read("turn"), std::to_string(kTurns));
}

constexpr const char* kNeighbours[] = {"ke", "key0", "kez", "busy"};

Task<void> other_keys_do_not_fire_forever(World& world) {
  constexpr int kTries = 50;
  co_await world.put(rows_of("key", "1"));
  int quiet = 0;
  for (int i = 0; i < kTries && quiet < 3; ++i) {
    const auto watch = co_await watch_on(world.store(), "key");
    for (const char* neighbour : kNeighbours) {
      co_await world.put(rows_of(neighbour, std::to_string(i)));
    }
    const auto waited = co_await watch->changed(world.clock().after(std::chrono::milliseconds(5)));
    if (!waited) {
      EXPECT_EQ(waited.error().kind(), ErrorKind::timeout);
      ++quiet;
    }
  }
  EXPECT_EQ(quiet, 3) << "writes to other keys fire the watch again and again";
}

// Waits for the watch while time is moved past the deadline. True: it timed out.
Task<bool> times_out(World& world, Watch& watch) {
  constexpr int kMoves = 1'000;
  Status waited;
  OneShot<std::monostate> ended;
  const auto deadline = world.clock().after(std::chrono::seconds(1));
  asio::co_spawn(
      co_await asio::this_coro::executor,
      [&]() -> Task<void> {
        waited = co_await watch.changed(deadline);
        ended.set({});
      },
      asio::detached);
  for (int i = 0; i < kMoves && !ended.is_set(); ++i) {
    co_await world.advance(std::chrono::milliseconds(300));
  }
  if (!ended.is_set()) throw CaseFailure("the wait did not end at its deadline");
  must(co_await ended.wait());
  if (waited) co_return false;
  EXPECT_EQ(waited.error().kind(), ErrorKind::timeout) << waited.error().to_string();
  EXPECT_GE(world.clock().now(), deadline);
  co_return true;
}

Task<void> a_watch_past_its_deadline_still_fires_later(World& world) {
  constexpr int kTries = 50;
  std::unique_ptr<Watch> watch;
  // A watch may fire without cause, but not each one.
  for (int tried = 0, timeouts = 0; timeouts < 3; ++tried) {
    if (tried == kTries) throw CaseFailure("it fires again and again although nothing changed");
    if (timeouts == 0) watch = co_await watch_on(world.store(), "key");
    const bool timed_out = co_await times_out(world, *watch);
    timeouts = timed_out ? timeouts + 1 : 0;
  }
  const auto past = co_await watch->changed(world.clock().now() - Duration(1));
  EXPECT_TRUE(past || past.error().kind() == ErrorKind::timeout);
  co_await world.put(rows_of("key", "1"));
  must(co_await watch->changed());
}

Task<void> closing_the_store_ends_a_wait_with_closed(World& world) {
  const Store closing = co_await world.open();
  const auto waited_for = co_await watch_on(closing, "key");
  const auto not_waited_for = co_await watch_on(closing, "key");
  const auto of_another = co_await watch_on(world.store(), "key");
  co_await world.in_parallel(2, [&](int role) -> Task<void> {
    if (role == 0) {
      EXPECT_EQ(must_fail(co_await waited_for->changed()).kind(), ErrorKind::closed);
    } else {
      co_await yield_now();
      co_await world.close(closing);
    }
  });
  EXPECT_EQ(must_fail(co_await not_waited_for->changed()).kind(), ErrorKind::closed);
  EXPECT_EQ(must_fail(co_await waited_for->changed()).kind(), ErrorKind::closed);
  co_await world.put(rows_of("key", "1"));
  co_await must_fire(world, *of_another, "the other handle is still open");
}

Task<void> every_one_of_many_watches_on_a_key_fires(World& world) {
  constexpr int kWatches = 200;
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < kWatches; ++i) {
    watches.push_back(co_await watch_on(world.store(), "key"));
  }
  for (int i = 0; i < kWatches; i += 2) watches[static_cast<std::size_t>(i)].reset();
  co_await world.put(rows_of("key", "1"));
  for (const auto& watch : watches) {
    if (watch) co_await must_fire(world, *watch, "one of many watches on a key");
  }
}

Task<void> each_of_many_watched_keys_fires_its_own_watch(World& world) {
  constexpr int kKeys = 300;
  std::vector<std::unique_ptr<Watch>> watches;
  Rows rows;
  for (int i = 0; i < kKeys; ++i) {
    rows.push_back({"key/" + std::to_string(i), "1"});
    watches.push_back(co_await watch_on(world.store(), rows.back().key));
  }
  co_await world.in_parallel(kKeys + 1, [&](int role) -> Task<void> {
    if (role == kKeys) {
      co_await world.put(rows);
    } else {
      co_await must_fire(world, *watches[static_cast<std::size_t>(role)], "one of many keys");
    }
  });
}

Task<void> the_watchers_own_commit_fires_it(World& world) {
  auto transaction = world.begin();
  must(co_await transaction.get("key"));
  const auto watch = must(co_await transaction.watch("key"));
  transaction.set("key", "mine");
  co_await world.must_commit(transaction);
  co_await must_fire(world, *watch, "the change was its own transaction's");
}

Task<void> a_watch_holds_up_neither_commits_nor_its_transaction(World& world) {
  auto transaction = world.begin();
  const auto watch = must(co_await transaction.watch("key"));
  transaction.set("other", "");
  co_await world.put(rows_of("key", "changed"));
  co_await world.must_commit(transaction);
  co_await must_fire(world, *watch, "after its transaction");
}

constexpr Case kWatchCases[] = {
    {"every_kind_of_change_on_another_handle_fires", every_kind_of_change_on_another_handle_fires},
    {"a_change_before_the_watch_was_made_is_not_lost",
     a_change_before_the_watch_was_made_is_not_lost},
    {"a_removal_before_the_watch_was_made_is_not_lost",
     a_removal_before_the_watch_was_made_is_not_lost},
    {"a_change_between_the_watch_and_the_wait_is_not_lost",
     a_change_between_the_watch_and_the_wait_is_not_lost},
    {"a_change_while_waiting_is_not_lost", a_change_while_waiting_is_not_lost},
    {"two_that_wait_for_each_other_never_miss_a_turn",
     two_that_wait_for_each_other_never_miss_a_turn},
    {"other_keys_do_not_fire_forever", other_keys_do_not_fire_forever},
    {"a_watch_past_its_deadline_still_fires_later", a_watch_past_its_deadline_still_fires_later,
     CaseTime::by_hand},
    {"closing_the_store_ends_a_wait_with_closed", closing_the_store_ends_a_wait_with_closed},
    {"every_one_of_many_watches_on_a_key_fires", every_one_of_many_watches_on_a_key_fires},
    {"each_of_many_watched_keys_fires_its_own_watch",
     each_of_many_watched_keys_fires_its_own_watch},
    {"the_watchers_own_commit_fires_it", the_watchers_own_commit_fires_it},
    {"a_watch_holds_up_neither_commits_nor_its_transaction",
     a_watch_holds_up_neither_commits_nor_its_transaction},
};

}  // namespace

std::span<const Case> watch_cases() {
  return kWatchCases;
}

}  // namespace semper::testing::conformance
