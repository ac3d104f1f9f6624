// Several processes on one store: the same promises, and what is left when one is killed.
#include <map>

#include "testing/conformance/child.h"
#include "testing/conformance/world.h"

namespace semper::testing::conformance {
namespace {

Task<void> no_increment_of_several_processes_is_lost(World& world) {
  constexpr int kChildren = 3;
  constexpr int kIncrements = 100;
  co_await world.put(rows_of("counter", "0"));
  std::vector<std::unique_ptr<RolePlayer>> children;
  for (int i = 0; i < kChildren; ++i) {
    children.push_back(std::make_unique<RolePlayer>(
        world, RoleOptions{.role = Role::increment, .count = kIncrements}));
  }
  for (int i = 0; i < kIncrements; ++i) {
    must(co_await world.store().transact(
        [](Transaction& transaction) -> Async<int> {
          SEMPER_CO_TRY(const auto old, co_await transaction.get("counter"));
          transaction.set("counter", std::to_string(std::stoi(old.value_or("0")) + 1));
          co_return 0;
        },
        for_a_child()));
  }
  for (auto& child : children) child->must_succeed();
  EXPECT_EQ(co_await world.read("counter"), std::to_string((kChildren + 1) * kIncrements));
}

Task<void> stamps_of_several_processes_are_unique_and_in_order(World& world) {
  constexpr int kChildren = 2;
  constexpr int kStamps = 100;
  std::vector<std::unique_ptr<RolePlayer>> children;
  for (int i = 0; i < kChildren; ++i) {
    children.push_back(std::make_unique<RolePlayer>(
        world,
        RoleOptions{.role = Role::stamp, .count = kStamps, .name = "child" + std::to_string(i)}));
  }
  for (int i = 0; i < kStamps; ++i) {
    must(co_await world.store().transact(
        [i](Transaction& transaction) -> Async<int> {
          transaction.set_versionstamped_key("stamp/" + Bytes(Versionstamp::store_size, '\0'), 6,
                                             "parent " + std::to_string(i));
          co_return 0;
        },
        for_a_child()));
  }
  for (auto& child : children) child->must_succeed();
  // Equal stamps would be one key; each writer's numbers must come in its own order.
  const auto rows = co_await world.read_all({"stamp/", "stamp0"});
  EXPECT_EQ(rows.size(), std::size_t{kChildren + 1} * kStamps);
  std::map<std::string, int> next;
  for (const auto& row : rows) {
    const auto space = row.value.find(' ');
    EXPECT_EQ(std::stoi(row.value.substr(space + 1)), next[row.value.substr(0, space)]++);
  }
}

Task<void> a_change_by_another_process_fires_a_watch(World& world) {
  auto transaction = world.begin();
  EXPECT_EQ(must(co_await transaction.get("watched")), std::nullopt);
  const auto watch = must(co_await transaction.watch("watched"));
  RolePlayer child(world, {.role = Role::set, .name = "by the child"});
  must(co_await watch->changed(world.clock().after(std::chrono::seconds(30))));
  EXPECT_EQ(co_await world.read("watched"), "by the child");
  child.must_succeed();
}

Task<void> a_change_fires_a_watch_in_another_process(World& world) {
  RolePlayer child(world, {.role = Role::watch});
  EXPECT_EQ(child.next_line(), "watching");
  co_await world.put(rows_of("unwatched", "1"));
  co_await world.put(rows_of("watched", "1"));
  EXPECT_EQ(child.next_line(), "fired");
  child.must_succeed();
}

Task<void> a_killed_process_leaves_whole_commits_and_all_that_it_was_sure_of(World& world) {
  constexpr int kKills = 4;
  for (int round = 1; round <= kKills; ++round) {
    int sure = 0;
    {
      RolePlayer child(world, {.role = Role::pairs, .count = 1'000'000});
      while (sure < 20 * round) {
        const auto line = child.next_line();
        if (!line) child.must_succeed();
        sure = std::stoi(line.value_or("0"));
      }
      child.kill();
      // What it still said is in the pipe.
      while (const auto line = child.next_line()) sure = std::stoi(*line);
    }
    const auto rows = co_await world.read_all({"left", "right0"});
    if (rows.size() != 2) throw CaseFailure("a key is missing");
    EXPECT_EQ(rows[0].value, rows[1].value) << "half of a commit";
    const int left = std::stoi(rows[0].value);
    EXPECT_TRUE(left == sure || left == sure + 1)
        << "sure of " << sure << ", but the store has " << left;
    co_await world.put(rows_of("another process", "goes on"));
  }
  EXPECT_FALSE(must(co_await world.store().backend().check()).empty());
}

constexpr Case kProcessCases[] = {
    {"no_increment_of_several_processes_is_lost", no_increment_of_several_processes_is_lost,
     CaseTime::as_the_store, CaseNeeds::processes},
    {"stamps_of_several_processes_are_unique_and_in_order",
     stamps_of_several_processes_are_unique_and_in_order, CaseTime::as_the_store,
     CaseNeeds::processes},
    {"a_change_by_another_process_fires_a_watch", a_change_by_another_process_fires_a_watch,
     CaseTime::as_the_store, CaseNeeds::processes},
    {"a_change_fires_a_watch_in_another_process", a_change_fires_a_watch_in_another_process,
     CaseTime::as_the_store, CaseNeeds::processes},
    {"a_killed_process_leaves_whole_commits_and_all_that_it_was_sure_of",
     a_killed_process_leaves_whole_commits_and_all_that_it_was_sure_of, CaseTime::as_the_store,
     CaseNeeds::processes},
};

}  // namespace

std::span<const Case> process_cases() {
  return kProcessCases;
}

}  // namespace semper::testing::conformance
