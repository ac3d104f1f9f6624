// Operations of one loop that run together, in one commit: whatever becomes of the loop, and of the
// commit.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/loops_test_support.h"

namespace semper {
namespace {

using testing::Loop;
using testing::LoopsWorld;
using namespace std::chrono_literals;

constexpr Duration kGroupBound = 20s;
constexpr int kGrouped = 6;

struct GroupTally {
  using State = std::int64_t;
  struct Add {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add&, State& s, Context&) { return ++s; }
};

using Sum = std::shared_ptr<std::optional<Result<std::int64_t>>>;

Sum add_one(Loop& loop, Ref<GroupTally> tally) {
  auto outcome = std::make_shared<std::optional<Result<std::int64_t>>>();
  asio::co_spawn(
      loop,
      [](Ref<GroupTally> to, Sum out) -> Task<void> {
        const CallOptions patient{kForever};
        out->emplace(co_await to.call(GroupTally::Add{}, patient));
      }(std::move(tally), outcome),
      asio::detached);
  return outcome;
}

bool are_all_there(const std::vector<Sum>& sums) {
  for (const auto& sum : sums) {
    if (!*sum) return false;
  }
  return true;
}

// A host that knows its entities.
class GroupsWorld : public LoopsWorld {
 public:
  explicit GroupsWorld(Pace pace) : LoopsWorld(pace) {
    make_host();
    host->serve<GroupTally>();
    auto started = std::make_shared<std::optional<Status>>();
    asio::co_spawn(
        host_loop,
        [](Host* of, std::shared_ptr<std::optional<Status>> out) -> Task<void> {
          out->emplace(co_await of->start());
        }(host.get(), started),
        asio::detached);
    EXPECT_TRUE(run_until([&] { return started->has_value(); }, kGroupBound, {&host_loop}));
    EXPECT_TRUE(finish(add_to_all(b)));
  }

  Ref<GroupTally> tally(int i) const { return ref<GroupTally>(*store, std::to_string(i)); }
  std::vector<Sum> add_to_all(Loop& loop) {
    std::vector<Sum> sums;
    for (int i = 0; i < kGrouped; ++i) sums.push_back(add_one(loop, tally(i)));
    return sums;
  }
  bool finish(const std::vector<Sum>& sums) {
    std::vector<Loop*> loops{&b, &host_loop};
    if (a) loops.push_back(a.get());
    return run_until([&] { return are_all_there(sums); }, kGroupBound, loops);
  }
};

TEST(LocalGroupsOfLoops, one_commit_answers_all) {
  GroupsWorld world(LoopsWorld::Pace::at_once);
  world.gate->closed = true;
  const auto sums = world.add_to_all(*world.a);
  world.run({world.a.get(), &world.host_loop});
  EXPECT_EQ(world.gate->waiting.size(), 2u) << "the first is alone, and the others are together";
  world.gate->open();
  ASSERT_TRUE(world.finish(sums));
  for (const auto& sum : sums) EXPECT_EQ((*sum)->value_or(-1), 2);
}

// Nothing is taken for done, and nothing runs again.
TEST(LocalGroupsOfLoops, an_unknown_outcome_is_that_of_all) {
  GroupsWorld world(LoopsWorld::Pace::at_once);
  world.gate->closed = true;
  const auto sums = world.add_to_all(*world.a);
  world.run({world.a.get(), &world.host_loop});
  world.gate->refuses = ErrorKind::outcome_unknown;
  world.gate->open();
  ASSERT_TRUE(world.finish(sums));
  for (const auto& sum : sums) {
    ASSERT_FALSE(**sum);
    EXPECT_EQ((*sum)->error().kind(), ErrorKind::outcome_unknown);
  }
  world.gate->refuses.reset();
  const auto again = world.add_to_all(*world.a);
  ASSERT_TRUE(world.finish(again));
  for (const auto& sum : again) EXPECT_EQ((*sum)->value_or(-1), 2);
}

TEST(LocalGroupsOfLoops, a_conflict_is_run_again_alone) {
  GroupsWorld world(LoopsWorld::Pace::at_once);
  world.gate->closed = true;
  const auto sums = world.add_to_all(*world.a);
  world.run({world.a.get(), &world.host_loop});
  world.gate->refuses = ErrorKind::conflict;
  while (!world.gate->waiting.empty()) world.gate->let_one_through();
  world.run({world.a.get(), &world.host_loop});
  world.gate->refuses.reset();
  world.gate->open();
  ASSERT_TRUE(world.finish(sums));
  for (const auto& sum : sums) EXPECT_EQ((*sum)->value_or(-1), 2);
}

enum class GroupEnd : std::uint8_t { destroyed, never_run_again };
class LocalGroupsEnd : public ::testing::TestWithParam<GroupEnd> {};

// A has run so many handlers when it ends. What others wait for goes on; of what A's callers had
// asked, each took effect or not.
TEST_P(LocalGroupsEnd, keeps_nobody_else_whenever_it_comes) {
  std::size_t handlers = 0;
  for (bool interrupted = true; interrupted; ++handlers) {
    GroupsWorld world(LoopsWorld::Pace::slow);
    const auto of_a = world.add_to_all(*world.a);
    std::vector<Sum> beside;
    interrupted = world.run_a(handlers, [&] {
      if (beside.empty()) beside = world.add_to_all(world.b);
      return are_all_there(of_a);
    });
    if (GetParam() == GroupEnd::destroyed) world.a.reset();
    const auto after = world.add_to_all(world.b);
    const std::vector<Loop*> loops{&world.b, &world.host_loop};
    EXPECT_TRUE(world.run_until([&] { return are_all_there(beside) && are_all_there(after); },
                                kGroupBound, loops))
        << "somebody hangs";
    for (int i = 0; i < kGrouped && !::testing::Test::HasFailure(); ++i) {
      const auto& mine = *after[static_cast<std::size_t>(i)];
      if (!mine->has_value()) ADD_FAILURE() << mine->error().to_string();
      const std::int64_t sum = mine->value_or(-1);
      EXPECT_TRUE(sum >= 2 && sum <= 4) << sum;
    }
    if (HasFailure()) FAIL() << "after " << handlers << " handlers of A";
  }
  EXPECT_GT(handlers, 3u) << "nothing was tried";
}

INSTANTIATE_TEST_SUITE_P(Ends, LocalGroupsEnd,
                         ::testing::Values(GroupEnd::destroyed, GroupEnd::never_run_again));

}  // namespace
}  // namespace semper
