// Operations of one loop that run together, in one commit: whatever becomes of the loop, and of the
// commit.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "server/loops_test_support.h"

namespace semper::testing {

// A sum that cannot be stored from a thousand on.
struct BrittleSum {
  std::int64_t value = 0;
};

}  // namespace semper::testing

template <>
struct semper::Codec<semper::testing::BrittleSum> {
  static void encode(const testing::BrittleSum& sum, Bytes& out) {
    if (sum.value >= 1000) throw std::runtime_error("it is too much");
    Codec<std::int64_t>::encode(sum.value, out);
  }
  static Result<testing::BrittleSum> decode(BytesView bytes) {
    SEMPER_TRY(const auto value, Codec<std::int64_t>::decode(bytes));
    return testing::BrittleSum{value};
  }
};

namespace semper {
namespace {

using testing::Loop;
using testing::LoopsWorld;
using namespace std::chrono_literals;

constexpr Duration kGroupBound = 20s;
constexpr int kGrouped = 6;

struct GroupTally {
  using State = testing::BrittleSum;
  struct Add {
    using Reply = std::int64_t;
  };
  // Each is one more than a group takes, in its own way.
  struct AddAndSend {
    using Reply = std::int64_t;
  };
  struct AddAtSecondTry {
    using Reply = std::int64_t;
  };
  struct AddTooMuch {
    using Reply = std::int64_t;
  };
  // To another one.
  struct Send {
    std::string to;
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add, AddAndSend, AddAtSecondTry, AddTooMuch, Send>;

  bool has_failed = false;

  Result<State> init(const EntityId&) { return State(); }
  Reply<std::int64_t> handle_call(const Add&, State& s, Context&) { return ++s.value; }
  void handle_cast(const Add&, State& s, Context&) { ++s.value; }
  Reply<std::int64_t> handle_call(const AddAndSend&, State& s, Context& context) {
    context.cast(semper::ref<GroupTally>(context.tenant(), context.id().id), Add{});
    return ++s.value;
  }
  Reply<std::int64_t> handle_call(const AddAtSecondTry&, State& s, Context&) {
    ++s.value;
    if (!std::exchange(has_failed, true)) throw std::runtime_error("not now");
    return s.value;
  }
  Reply<std::int64_t> handle_call(const AddTooMuch&, State& s, Context&) { return s.value += 1000; }
  Reply<std::int64_t> handle_call(const Send& m, State& s, Context& context) {
    context.cast(semper::ref<GroupTally>(context.tenant(), m.to), Add{});
    return s.value;
  }
};

// Of a type whose entities expire.
struct GroupGuest {
  static constexpr auto kExpireAfter = Duration(60s);
  using State = std::int64_t;
  struct Add {
    using Reply = std::int64_t;
  };
  using Messages = semper::Messages<Add>;
  Result<State> init(const EntityId&) { return 0; }
  Reply<std::int64_t> handle_call(const Add&, State& s, Context&) { return ++s; }
};

using Sum = std::shared_ptr<std::optional<Result<std::int64_t>>>;

template <class M, class B>
Sum send_one(const Executor& executor, Ref<B> tally) {
  auto outcome = std::make_shared<std::optional<Result<std::int64_t>>>();
  asio::co_spawn(
      executor,
      [](Ref<B> to, Sum out) -> Task<void> {
        const CallOptions patient{kForever};
        out->emplace(co_await to.call(M{}, patient));
      }(std::move(tally), outcome),
      asio::detached);
  return outcome;
}
Sum add_one(Loop& loop, Ref<GroupTally> tally) {
  return send_one<GroupTally::Add>(loop.get_executor(), std::move(tally));
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
    host->serve<GroupGuest>();
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

// One of a group cannot be run in it: it takes effect once all the same, and so do the others.
using Spoiler = Sum (*)(const Executor&, Ref<GroupTally>);
struct SpoilerCase {
  const char* name;
  Spoiler send;
  std::int64_t answer;  // 0: an error
  std::int64_t after;   // of the next call
};
void PrintTo(const SpoilerCase& tried, std::ostream* out) {
  *out << tried.name;
}
class LocalGroupsSpoilt : public ::testing::TestWithParam<SpoilerCase> {};

TEST_P(LocalGroupsSpoilt, runs_each_once) {
  GroupsWorld world(LoopsWorld::Pace::at_once);
  world.gate->closed = true;
  std::vector<Sum> sums;
  for (int i = 0; i < kGrouped; ++i) {
    sums.push_back(i == 3 ? GetParam().send(world.a->get_executor(), world.tally(i))
                          : add_one(*world.a, world.tally(i)));
  }
  world.run({world.a.get(), &world.host_loop});
  world.gate->open();
  ASSERT_TRUE(world.finish(sums));
  world.pass(1s, {world.a.get(), &world.b, &world.host_loop});
  const auto again = world.add_to_all(*world.a);
  ASSERT_TRUE(world.finish(again));
  for (int i = 0; i < kGrouped; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ((*sums[at])->value_or(0), i == 3 ? GetParam().answer : 2) << "entity " << i;
    EXPECT_EQ((*again[at])->value_or(0), i == 3 ? GetParam().after : 3) << "entity " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Spoilers, LocalGroupsSpoilt,
    ::testing::Values(
        SpoilerCase{"sends to itself", send_one<GroupTally::AddAndSend, GroupTally>, 2, 4},
        SpoilerCase{"fails the first time", send_one<GroupTally::AddAtSecondTry, GroupTally>, 2, 3},
        SpoilerCase{"does not encode", send_one<GroupTally::AddTooMuch, GroupTally>, 0, 2}));

// An entity that is sent something all the time stays.
TEST(LocalGroupsOfLoops, who_is_in_a_group_does_not_expire) {
  GroupsWorld world(LoopsWorld::Pace::at_once);
  for (std::int64_t round = 1; round <= 20; ++round) {
    world.gate->closed = true;
    std::vector<Sum> sums;
    for (int i = 0; i < kGrouped; ++i) {
      auto guest = ref<GroupGuest>(*world.store, std::to_string(i));
      sums.push_back(send_one<GroupGuest::Add>(world.a->get_executor(), std::move(guest)));
    }
    world.run({world.a.get(), &world.host_loop});
    EXPECT_GE(world.gate->waiting.size(), 1u);
    world.gate->open();
    ASSERT_TRUE(world.finish(sums));
    for (const auto& sum : sums) ASSERT_EQ((*sum)->value_or(-1), round);
    world.pass(20s, {world.a.get(), &world.b, &world.host_loop});
  }
}

// What one strand does blocks it, and nobody else of its loop.
TEST(LocalGroupsOfLoops, a_blocked_strand_keeps_no_other) {
  GroupsWorld world(LoopsWorld::Pace::at_once);
  const Executor strand = asio::make_strand(world.a->get_executor());
  world.gate->closed = true;
  std::vector<Sum> sums{add_one(*world.a, world.tally(0))};
  world.run({world.a.get()});
  bool was_blocked = false;
  asio::post(strand, [&] {
    sums.push_back(send_one<GroupTally::Add>(strand, world.tally(1)));
    sums.push_back(add_one(*world.a, world.tally(2)));
    sums.push_back(add_one(*world.a, world.tally(3)));
    world.gate->open();
    world.run({world.a.get(), &world.host_loop});  // while this blocks the strand
    EXPECT_TRUE(*sums[2] && *sums[3]) << "they wait for a strand that is not theirs";
    EXPECT_FALSE(*sums[1]);
    was_blocked = true;
  });
  world.run({world.a.get(), &world.host_loop});
  ASSERT_TRUE(was_blocked);
  ASSERT_TRUE(world.finish(sums));
  for (const auto& sum : sums) EXPECT_EQ((*sum)->value_or(-1), 2);
}

// Two are in one group, and one has sent to the other.
TEST(LocalGroupsOfLoops, a_call_does_not_overtake_what_was_sent_in_the_group) {
  GroupsWorld world(LoopsWorld::Pace::at_once);
  world.gate->closed = true;
  auto sums = world.add_to_all(*world.a);
  auto outcome = std::make_shared<std::optional<Result<std::int64_t>>>();
  asio::co_spawn(
      *world.a,
      [](Ref<GroupTally> from, Ref<GroupTally> to, Sum out) -> Task<void> {
        const CallOptions patient{kForever};
        GroupTally::Send message{"4"};
        static_cast<void>(co_await from.call(std::move(message), patient));
        out->emplace(co_await to.call(GroupTally::Add{}, patient));
      }(world.tally(2), world.tally(4), outcome),
      asio::detached);
  sums.push_back(outcome);
  world.run({world.a.get(), &world.host_loop});
  world.gate->open();
  ASSERT_TRUE(world.finish(sums));
  EXPECT_EQ((*outcome)->value_or(-1), 4) << "it does not know of the message before it";
}

// A host that stops waits for a group, but not for a loop that does not run any more.
TEST(LocalGroupsOfLoops, a_host_stops_whenever_the_loop_of_a_group_does) {
  std::size_t handlers = 0;
  for (bool interrupted = true; interrupted; ++handlers) {
    GroupsWorld world(LoopsWorld::Pace::slow);
    const auto of_a = world.add_to_all(*world.a);
    interrupted = world.run_a(handlers, [&] { return are_all_there(of_a); });
    auto stopped = std::make_shared<std::optional<Status>>();
    asio::co_spawn(
        world.host_loop,
        [](Host* of, std::shared_ptr<std::optional<Status>> out) -> Task<void> {
          out->emplace(co_await of->stop());
        }(world.host.get(), stopped),
        asio::detached);
    EXPECT_TRUE(world.run_until([&] { return stopped->has_value(); }, kGroupBound,
                                {&world.b, &world.host_loop}))
        << "the host hangs after " << handlers << " handlers of A";
    if (HasFailure()) return;
  }
  EXPECT_GT(handlers, 3u) << "nothing was tried";
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
