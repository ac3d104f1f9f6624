// Two sides, or two of one side, that share a disk and no memory: in two containers, on two
// machines, through a loop device and its file.
#include "ring/neighbours.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "ring_test_support.h"

namespace semper::ring {
namespace {

using namespace std::chrono_literals;
using testing::ApartDevice;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kind_of;

class RingNeighbours : public ::testing::TestWithParam<Format> {
 protected:
  void SetUp() override { ASSERT_OK(world_.create(*here_)); }

  std::unique_ptr<BlockDevice> apart() {
    return std::make_unique<ApartDevice>(disk_.open(), std::make_shared<LocalCompanion::Shared>());
  }

  template <class T>
  T run(Task<T> task) {
    return world_.run(std::move(task));
  }

  MemoryDisk disk_{{.size = 1 << 20, .sector_size = 512}};
  testing::World world_{{.open = [this] { return disk_.open(); }}, GetParam()};
  std::unique_ptr<BlockDevice> here_ = disk_.open();
  std::unique_ptr<BlockDevice> there_ = apart();
};

INSTANTIATE_TEST_SUITE_P(, RingNeighbours, ::testing::Values(Format::semper_1, Format::mirage_1_0),
                         [](const auto& instance) {
                           return instance.param == Format::semper_1 ? "semper" : "mirage";
                         });

TEST_P(RingNeighbours, a_consumer_that_shares_no_memory_sees_what_is_published) {
  auto producer = world_.producer(*here_);
  ASSERT_OK(producer);
  auto consumer = world_.consumer(*there_);
  ASSERT_OK(consumer);
  for (int i = 0; i < 5; ++i) {
    ASSERT_OK(run(producer->publish(std::to_string(i))));
    const auto item = run(consumer->pop({}, world_.clock.after(1500ms)));
    ASSERT_OK(item);
    EXPECT_EQ(item->bytes, std::to_string(i));
    ASSERT_OK(run(consumer->advance(item->after)));
  }
}

TEST_P(RingNeighbours, a_consumer_sees_a_producer_that_came_later_and_shares_no_memory) {
  auto consumer = world_.consumer(*there_);
  ASSERT_OK(consumer);
  EXPECT_EQ(kind_of(run(consumer->pop({}, world_.clock.after(5s)))), ErrorKind::timeout);
  auto producer = world_.producer(*here_);
  ASSERT_OK(producer);
  ASSERT_OK(run(producer->publish("late")));
  const auto item = run(consumer->pop({}, world_.clock.after(1500ms)));
  ASSERT_OK(item);
  EXPECT_EQ(item->bytes, "late");
}

TEST_P(RingNeighbours, what_is_pushed_and_not_exposed_is_not_seen_without_shared_memory) {
  auto producer = world_.producer(*here_);
  ASSERT_OK(producer);
  auto consumer = world_.consumer(*there_);
  ASSERT_OK(consumer);
  const auto end = run(producer->push("later"));
  ASSERT_OK(end);
  EXPECT_EQ(kind_of(run(consumer->pop({}, world_.clock.after(5s)))), ErrorKind::timeout);
  ASSERT_OK(run(producer->advance(*end)));
  EXPECT_EQ(run(consumer->pop({}, world_.clock.after(1500ms)))->bytes, "later");
}

TEST_P(RingNeighbours, room_that_is_freed_and_pauses_reach_a_producer_that_shares_no_memory) {
  auto producer = world_.producer(*here_);
  ASSERT_OK(producer);
  auto consumer = world_.consumer(*there_);
  ASSERT_OK(consumer);
  const Bytes large(100 << 10, 'x');
  while (run(producer->publish(large))) {
  }
  const auto end = run(consumer->for_each([](const ItemView&) -> Status { return {}; }));
  ASSERT_OK(end);
  ASSERT_OK(run(consumer->advance(*end)));
  EXPECT_OK(run(producer->publish(large, world_.clock.after(1500ms))));
  ASSERT_OK(run(consumer->suspend()));
  ASSERT_OK(run(sleep_for(world_.clock, 1500ms)));
  EXPECT_EQ(kind_of(run(producer->publish("x"))), ErrorKind::suspended);
}

class SemperNeighbours : public RingNeighbours {};
INSTANTIATE_TEST_SUITE_P(, SemperNeighbours, ::testing::Values(Format::semper_1),
                         [](const auto&) { return "semper"; });

TEST_P(SemperNeighbours, a_second_producer_is_refused_while_the_first_one_works) {
  auto producer = world_.producer(*here_);
  ASSERT_OK(producer);
  ASSERT_OK(run(producer->publish("0")));
  std::optional<Result<Producer>> second;
  const auto both = [&]() -> Async<void> {
    auto attach = [&]() -> Task<void> {
      auto attached = co_await Producer::attach(*there_, world_.options("second"));
      second.emplace(std::move(attached));
    };
    asio::co_spawn(co_await asio::this_coro::executor, attach(), asio::detached);
    for (int i = 1; i < 8; ++i) {
      SEMPER_CO_TRY_STATUS(co_await sleep_for(world_.clock, 1s));
      SEMPER_CO_TRY_STATUS(co_await producer->publish(std::to_string(i)));
    }
    co_return Status{};
  };
  ASSERT_OK(run(both()));
  ASSERT_TRUE(second);
  ASSERT_EQ(kind_of(*second), ErrorKind::conflict);
  EXPECT_THAT(second->error().message(), HasSubstr("another container"));
  auto consumer = world_.consumer(*here_);
  ASSERT_OK(consumer);
  EXPECT_THAT(all_items(world_, *consumer), ElementsAre("0", "1", "2", "3", "4", "5", "6", "7"));
}

TEST_P(SemperNeighbours, one_that_was_idle_is_refused_after_another_took_over_and_nothing_is_lost) {
  auto producer = world_.producer(*here_);
  ASSERT_OK(producer);
  ASSERT_OK(run(producer->publish("one")));
  auto second = world_.producer(*there_);
  ASSERT_OK(second);
  ASSERT_OK(run(second->publish("two")));
  EXPECT_EQ(kind_of(run(producer->publish("lost"))), ErrorKind::conflict);
  ASSERT_OK(run(second->publish("three")));
  auto consumer = world_.consumer(*there_);
  ASSERT_OK(consumer);
  EXPECT_THAT(all_items(world_, *consumer), ElementsAre("one", "two", "three"));
}

TEST_P(SemperNeighbours, a_second_consumer_is_refused_while_the_first_one_works) {
  auto producer = world_.producer(*here_);
  ASSERT_OK(producer);
  std::vector<Bytes> many(20, "x");
  ASSERT_OK(run(producer->publish(many)));
  auto consumer = world_.consumer(*here_);
  ASSERT_OK(consumer);
  std::optional<Result<Consumer>> second;
  const auto both = [&]() -> Async<void> {
    auto attach = [&]() -> Task<void> {
      auto attached = co_await Consumer::attach(*there_, world_.options("second"));
      second.emplace(std::move(attached));
    };
    asio::co_spawn(co_await asio::this_coro::executor, attach(), asio::detached);
    for (int i = 0; i < 8; ++i) {
      SEMPER_CO_TRY_STATUS(co_await sleep_for(world_.clock, 1s));
      SEMPER_CO_TRY(const Item item, co_await consumer->pop());
      SEMPER_CO_TRY_STATUS(co_await consumer->advance(item.after));
    }
    co_return Status{};
  };
  ASSERT_OK(run(both()));
  ASSERT_TRUE(second);
  EXPECT_EQ(kind_of(*second), ErrorKind::conflict);
}

TEST_P(SemperNeighbours, one_that_died_with_the_memory_that_it_shared_is_followed_at_once) {
  {
    auto producer = world_.producer(*there_);
    ASSERT_OK(producer);
    ASSERT_OK(run(producer->publish("one")));
  }
  there_ = apart();
  const auto before = world_.clock.now();
  auto producer = world_.producer(*there_);
  ASSERT_OK(producer);
  EXPECT_LT(world_.clock.now() - before, 1s);
  ASSERT_OK(run(producer->publish("two")));
  auto consumer = world_.consumer(*there_);
  ASSERT_OK(consumer);
  EXPECT_THAT(all_items(world_, *consumer), ElementsAre("one", "two"));
}

}  // namespace
}  // namespace semper::ring
