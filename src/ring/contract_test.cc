// The contract of rings, for every format on every device.
#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>

#include "ring/ring_test_support.h"

namespace semper::ring {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::all_items;
using testing::kind_of;
using testing::World;

constexpr std::uint64_t kContractDiskBytes = 256 << 10;

class RingContract : public ::testing::TestWithParam<testing::Kind> {
 protected:
  void SetUp() override {
    producer_device = world.open();
    consumer_device = world.open();
    ASSERT_OK(world.create(*producer_device));
  }

  void attach() {
    auto made_producer = world.producer(*producer_device);
    ASSERT_OK(made_producer);
    producer.emplace(std::move(*made_producer));
    auto made_consumer = world.consumer(*consumer_device);
    ASSERT_OK(made_consumer);
    consumer.emplace(std::move(*made_consumer));
  }

  World world{GetParam().make(kContractDiskBytes), GetParam().format};
  std::unique_ptr<BlockDevice> producer_device;
  std::unique_ptr<BlockDevice> consumer_device;
  std::optional<Producer> producer;
  std::optional<Consumer> consumer;
};

INSTANTIATE_TEST_SUITE_P(, RingContract, ::testing::ValuesIn(testing::all_kinds()),
                         [](const auto& instance) { return instance.param.name; });

TEST_P(RingContract, what_is_pushed_is_not_seen_before_advance) {
  attach();
  const auto end = world.run(producer->push("one"));
  ASSERT_OK(end);
  EXPECT_EQ(kind_of(world.run(consumer->pop())), ErrorKind::retry);
  ASSERT_OK(world.run(producer->advance(*end)));
  const auto item = world.run(consumer->pop());
  ASSERT_OK(item);
  EXPECT_EQ(item->bytes, "one");
}

TEST_P(RingContract, several_pushes_before_one_advance_are_kept_in_order) {
  attach();
  ASSERT_OK(world.run(producer->push("one")));
  ASSERT_OK(world.run(producer->push("two")));
  const auto end = world.run(producer->push(""));
  ASSERT_OK(end);
  EXPECT_THAT(all_items(world, *consumer), IsEmpty());
  ASSERT_OK(world.run(producer->advance(*end)));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("one", "two", ""));
}

TEST_P(RingContract, advance_exposes_no_more_than_it_was_told) {
  attach();
  const auto one = world.run(producer->push("one"));
  ASSERT_OK(one);
  const auto two = world.run(producer->push("two"));
  ASSERT_OK(two);
  ASSERT_OK(world.run(producer->advance(*one)));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("one"));
  ASSERT_OK(world.run(producer->advance(*two)));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("one", "two"));
}

TEST_P(RingContract, publish_exposes_what_was_pushed_before) {
  attach();
  ASSERT_OK(world.run(producer->push("one")));
  const std::vector<Bytes> batch{"two", "three"};
  ASSERT_OK(world.run(producer->publish(batch)));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("one", "two", "three"));
}

TEST_P(RingContract, pop_does_not_remove_and_advance_does) {
  attach();
  ASSERT_OK(world.run(producer->publish("one")));
  ASSERT_OK(world.run(producer->publish("two")));
  auto first = world.run(consumer->pop());
  ASSERT_OK(first);
  EXPECT_EQ(world.run(consumer->pop())->bytes, "one");
  const auto second = world.run(consumer->pop(first->after));
  ASSERT_OK(second);
  EXPECT_EQ(second->bytes, "two");
  ASSERT_OK(world.run(consumer->advance(first->after)));
  EXPECT_EQ(world.run(consumer->pop())->bytes, "two");
  ASSERT_OK(world.run(consumer->advance(second->after)));
  EXPECT_EQ(kind_of(world.run(consumer->pop())), ErrorKind::retry);
}

TEST_P(RingContract, pop_many_and_fold_give_everything_in_order) {
  attach();
  std::vector<Bytes> items;
  for (int i = 0; i < 100; ++i) items.push_back(Bytes(static_cast<std::size_t>(i * 7), 'a'));
  ASSERT_OK(world.run(producer->publish(items)));
  const PopLimits limits{.max_items = 60};
  const auto some = world.run(consumer->pop_many({}, limits));
  ASSERT_OK(some);
  EXPECT_EQ(some->size(), 60u);
  const auto bytes = world.run(consumer->fold(
      [](BytesView item, std::size_t sum) { return sum + item.size(); }, std::size_t{0},
      some->back().after));
  ASSERT_OK(bytes);
  std::size_t expected = 0;
  for (std::size_t i = 60; i < 100; ++i) expected += i * 7;
  EXPECT_EQ(bytes->second, expected);
  ASSERT_OK(world.run(consumer->advance(bytes->first)));
  EXPECT_EQ(kind_of(world.run(consumer->pop())), ErrorKind::retry);
}

TEST_P(RingContract, a_position_that_was_never_given_out_changes_nothing) {
  attach();
  ASSERT_OK(world.run(producer->publish("one")));
  const auto far = Position::from_offset(producer->exposed().offset() + 8);
  EXPECT_EQ(kind_of(world.run(producer->advance(far))), ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of(world.run(consumer->advance(far))), ErrorKind::invalid_argument);
  EXPECT_EQ(kind_of(world.run(consumer->pop(far))), ErrorKind::invalid_argument);
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("one"));
}

TEST_P(RingContract, a_position_in_the_middle_of_an_item_changes_nothing) {
  attach();
  for (const char* item : {"one", "two", "three"}) ASSERT_OK(world.run(producer->publish(item)));
  std::vector<std::uint64_t> ends{0};
  ASSERT_OK(world.run(consumer->for_each([&](const ItemView& item) -> Status {
    ends.push_back(item.after.offset());
    return {};
  })));
  for (std::uint64_t at = 1; at < ends.back(); at += at < 64 ? 1 : 60) {
    if (std::find(ends.begin(), ends.end(), at) != ends.end()) continue;
    const auto inside = Position::from_offset(at);
    EXPECT_EQ(kind_of(world.run(consumer->pop(inside))), ErrorKind::invalid_argument) << at;
    EXPECT_EQ(kind_of(world.run(consumer->advance(inside))), ErrorKind::invalid_argument) << at;
  }
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("one", "two", "three"));
}

// What is left of the ring is used to its last byte, and not one more.
TEST_P(RingContract, an_item_that_is_a_little_too_large_for_what_is_left_is_refused) {
  attach();
  std::vector<Bytes> inside;
  const auto publish = [&](std::size_t size) {
    const Bytes item(size, static_cast<char>('a' + inside.size() % 26));
    const auto told = world.run(producer->publish(item));
    if (told) inside.push_back(item);
    return told.has_value();
  };
  for (int lap = 0; lap < 3; ++lap) {
    for (const std::size_t size : {3000u, 300u, 60u}) {
      while (publish(size)) {
      }
    }
    // The largest that fits: the one before it was four bytes too large.
    for (std::size_t size = 56; size > 0 && !publish(size); size -= 4) {
    }
    const auto there = world.run(consumer->pop_many({}, {.max_items = inside.size()}));
    ASSERT_OK(there);
    ASSERT_EQ(there->size(), inside.size());
    for (std::size_t i = 0; i < inside.size(); ++i) ASSERT_EQ((*there)[i].bytes, inside[i]);
    ASSERT_OK(world.run(consumer->advance(there->back().after)));
    inside.clear();
    ASSERT_TRUE(publish(700 + 4 * static_cast<std::size_t>(lap)));
  }
}

TEST_P(RingContract, a_full_ring_never_loses_what_was_not_consumed) {
  attach();
  SeededRandom random(11);
  std::vector<Bytes> inside;
  for (int round = 0; round < 400; ++round) {
    const Bytes item = random.bytes(random.below(9000));
    const auto pushed = world.run(producer->publish(item));
    if (pushed) {
      inside.push_back(item);
      continue;
    }
    ASSERT_EQ(pushed.error().kind(), ErrorKind::retry);
    const PopLimits limits{.max_items = 1 + random.below(20)};
    const auto popped = world.run(consumer->pop_many({}, limits));
    ASSERT_OK(popped);
    for (std::size_t i = 0; i < popped->size(); ++i) ASSERT_EQ((*popped)[i].bytes, inside[i]);
    inside.erase(inside.begin(), inside.begin() + static_cast<long>(popped->size()));
    ASSERT_OK(world.run(consumer->advance(popped->back().after)));
  }
  EXPECT_EQ(all_items(world, *consumer), inside);
}

TEST_P(RingContract, items_survive_detach_and_attach_of_both_sides) {
  attach();
  ASSERT_OK(world.run(producer->publish("one")));
  ASSERT_OK(world.run(producer->publish("two")));
  const auto first = world.run(consumer->pop());
  ASSERT_OK(world.run(consumer->advance(first->after)));
  ASSERT_OK(world.run(producer->detach()));
  ASSERT_OK(world.run(consumer->detach()));
  attach();
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("two"));
  ASSERT_OK(world.run(producer->publish("three")));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("two", "three"));
}

TEST_P(RingContract, items_survive_handles_that_are_dropped_without_detach) {
  attach();
  ASSERT_OK(world.run(producer->publish("one")));
  ASSERT_OK(world.run(producer->publish("two")));
  const auto first = world.run(consumer->pop());
  ASSERT_OK(world.run(consumer->advance(first->after)));
  producer.reset();
  consumer.reset();
  attach();
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("two"));
  ASSERT_OK(world.run(producer->publish("three")));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("two", "three"));
}

TEST_P(RingContract, what_was_pushed_and_not_exposed_is_dropped_by_the_next_producer) {
  attach();
  ASSERT_OK(world.run(producer->publish("one")));
  ASSERT_OK(world.run(producer->push("lost")));
  producer.reset();
  consumer.reset();
  attach();
  ASSERT_OK(world.run(producer->publish("two")));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("one", "two"));
}

TEST_P(RingContract, use_after_detach_is_closed) {
  attach();
  ASSERT_OK(world.run(producer->detach()));
  ASSERT_OK(world.run(producer->detach()));
  ASSERT_OK(world.run(consumer->detach()));
  EXPECT_EQ(kind_of(world.run(producer->push("x"))), ErrorKind::closed);
  EXPECT_EQ(kind_of(world.run(producer->publish("x", kNever))), ErrorKind::closed);
  EXPECT_EQ(kind_of(world.run(producer->state())), ErrorKind::closed);
  EXPECT_EQ(kind_of(world.run(consumer->pop())), ErrorKind::closed);
  EXPECT_EQ(kind_of(world.run(consumer->suspend())), ErrorKind::closed);
}

TEST_P(RingContract, a_second_producer_or_consumer_is_refused_while_the_first_lives) {
  if (!world.has_companion() && GetParam().format == Format::mirage_1_0) {
    GTEST_SKIP() << "mirage-1.0 has no place to say who is attached";
  }
  attach();
  if (!world.has_companion()) {
    AttachOptions options = world.options();
    options.take_over = TakeOver::no;
    const auto another = world.open();
    EXPECT_EQ(kind_of(world.run(Producer::attach(*another, options))), ErrorKind::conflict);
    EXPECT_EQ(kind_of(world.run(Consumer::attach(*another, options))), ErrorKind::conflict);
    auto heir = world.producer(*another);
    ASSERT_OK(heir);
    EXPECT_EQ(kind_of(world.run(producer->publish("late"))), ErrorKind::conflict);
    EXPECT_OK(world.run(heir->publish("in time")));
    return;
  }
  const auto other = world.open();
  const auto second = world.producer(*other);
  EXPECT_EQ(kind_of(second), ErrorKind::conflict);
  if (GetParam().format == Format::semper_1 && !second) {
    EXPECT_NE(second.error().message().find("process " + std::to_string(::getpid())),
              std::string::npos)
        << second.error().message();
  }
  EXPECT_EQ(kind_of(world.consumer(*other)), ErrorKind::conflict);
  ASSERT_OK(world.run(producer->detach()));
  EXPECT_OK(world.producer(*other));
}

TEST_P(RingContract, suspend_and_resume_wait_for_the_acknowledgement) {
  attach();
  ASSERT_OK(world.run(consumer->suspend()));
  EXPECT_EQ(*world.run(consumer->state()), State::running);
  EXPECT_EQ(kind_of(world.run(consumer->resume())), ErrorKind::retry);
  EXPECT_EQ(*world.run(producer->state()), State::suspended);
  EXPECT_EQ(*world.run(consumer->state()), State::suspended);
  EXPECT_EQ(kind_of(world.run(producer->push("x"))), ErrorKind::suspended);
  ASSERT_OK(world.run(consumer->resume()));
  EXPECT_EQ(kind_of(world.run(consumer->suspend())), ErrorKind::retry);
  ASSERT_OK(world.run(consumer->resume()));
  EXPECT_EQ(*world.run(producer->state()), State::running);
  ASSERT_OK(world.run(producer->publish("x")));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("x"));
}

TEST_P(RingContract, a_suspended_ring_can_be_attached_by_its_producer) {
  attach();
  ASSERT_OK(world.run(consumer->suspend()));
  EXPECT_EQ(*world.run(producer->state()), State::suspended);
  ASSERT_OK(world.run(producer->detach()));
  ASSERT_OK(world.run(consumer->detach()));
  attach();
  EXPECT_EQ(kind_of(world.run(producer->push("x"))), ErrorKind::suspended);
  ASSERT_OK(world.run(consumer->resume()));
  EXPECT_EQ(*world.run(producer->state()), State::running);
  ASSERT_OK(world.run(producer->publish("x")));
}

TEST_P(RingContract, a_pause_that_was_asked_for_before_the_producer_came_is_kept) {
  attach();
  ASSERT_OK(world.run(producer->detach()));
  ASSERT_OK(world.run(consumer->suspend()));
  ASSERT_OK(world.run(consumer->detach()));
  attach();
  EXPECT_EQ(kind_of(world.run(producer->publish("x"))), ErrorKind::suspended);
  EXPECT_EQ(*world.run(consumer->state()), State::suspended) << "not acknowledged";
  ASSERT_OK(world.run(consumer->resume()));
  EXPECT_EQ(*world.run(producer->state()), State::running);
  ASSERT_OK(world.run(producer->publish("y")));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("y"));
}

TEST_P(RingContract, an_item_that_can_never_fit_is_refused_and_the_largest_is_not) {
  attach();
  const Bytes largest(producer->max_item_bytes(), 'x');
  EXPECT_EQ(kind_of(world.run(producer->push(largest + "y"))), ErrorKind::invalid_argument);
  ASSERT_OK(world.run(producer->publish(largest)));
  const auto item = world.run(consumer->pop());
  ASSERT_OK(item);
  EXPECT_EQ(item->bytes, largest);
  ASSERT_OK(world.run(consumer->advance(item->after)));
  ASSERT_OK(world.run(producer->publish("next")));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("next"));
}

TEST_P(RingContract, creating_again_changes_nothing) {
  attach();
  ASSERT_OK(world.run(producer->publish("one")));
  ASSERT_OK(world.create(*producer_device));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("one"));
}

TEST_P(RingContract, waiting_calls_are_woken_by_the_other_side) {
  attach();
  const auto round = [&]() -> Async<void> {
    const auto executor = co_await asio::this_coro::executor;
    OneShot<bool> popped;
    const auto pop = [&]() -> Task<void> {
      const auto item = co_await consumer->pop({}, kNever);
      EXPECT_TRUE(item && item->bytes == "one");
      popped.set(true);
    };
    asio::co_spawn(executor, pop(), asio::detached);
    co_await yield_now();
    SEMPER_CO_TRY_STATUS(co_await producer->publish("one"));
    SEMPER_CO_TRY_STATUS(co_await popped.wait());
    co_return Result<void>();
  };
  const auto before = world.clock.now();
  ASSERT_OK(world.run(round()));
  EXPECT_LT(world.clock.now() - before, 1s);
  const auto nothing = world.run(consumer->pop(producer->exposed(), world.clock.after(5s)));
  EXPECT_EQ(kind_of(nothing), ErrorKind::timeout);
  EXPECT_GE(world.clock.now() - before, 5s);
}

TEST_P(RingContract, a_waiting_push_gets_the_room_that_the_consumer_makes) {
  attach();
  const Bytes large(producer->max_item_bytes() / 2 + 4096, 'x');
  ASSERT_OK(world.run(producer->publish(large)));
  EXPECT_EQ(kind_of(world.run(producer->publish(large, world.clock.after(3s)))),
            ErrorKind::timeout);
  const auto round = [&]() -> Async<void> {
    const auto executor = co_await asio::this_coro::executor;
    OneShot<bool> published;
    const auto publish = [&]() -> Task<void> {
      EXPECT_OK(co_await producer->publish(large, kNever));
      published.set(true);
    };
    asio::co_spawn(executor, publish(), asio::detached);
    co_await yield_now();
    SEMPER_CO_TRY(const Item item, co_await consumer->pop());
    SEMPER_CO_TRY_STATUS(co_await consumer->advance(item.after));
    SEMPER_CO_TRY_STATUS(co_await published.wait());
    co_return Result<void>();
  };
  ASSERT_OK(world.run(round()));
  EXPECT_EQ(all_items(world, *consumer).size(), 1u);
}

TEST_P(RingContract, many_coroutines_at_once_lose_and_reorder_nothing_of_their_own) {
  attach();
  constexpr int kCoroutines = 32;
  constexpr int kItems = 20;
  const auto round = [&]() -> Async<void> {
    const auto executor = co_await asio::this_coro::executor;
    int left = kCoroutines;
    OneShot<bool> done;
    const auto work = [&](int number) -> Task<void> {
      for (int i = 0; i < kItems; ++i) {
        const std::string item = std::to_string(number) + ":" + std::to_string(i);
        EXPECT_OK(co_await producer->publish(item, kNever));
      }
      if (--left == 0) done.set(true);
    };
    for (int i = 0; i < kCoroutines; ++i) asio::co_spawn(executor, work(i), asio::detached);
    std::vector<int> next(kCoroutines, 0);
    int seen = 0;
    while (seen < kCoroutines * kItems) {
      SEMPER_CO_TRY(const auto items, co_await consumer->pop_many({}, {}, kNever));
      for (const Item& item : items) {
        const auto colon = item.bytes.find(':');
        const auto number = static_cast<std::size_t>(std::stoi(item.bytes.substr(0, colon)));
        EXPECT_EQ(std::stoi(item.bytes.substr(colon + 1)), next[number]++);
        ++seen;
      }
      SEMPER_CO_TRY_STATUS(co_await consumer->advance(items.back().after));
    }
    SEMPER_CO_TRY_STATUS(co_await done.wait());
    co_return Result<void>();
  };
  ASSERT_OK(world.run(round()));
}

TEST_P(RingContract, debug_info_and_inspect_say_where_the_ring_stands) {
  attach();
  ASSERT_OK(world.run(producer->publish("one")));
  const auto info = world.run(producer->debug_info());
  ASSERT_OK(info);
  EXPECT_THAT(*info, ::testing::Contains(::testing::Pair(
                         "exposed", producer->exposed().to_string())));
  const auto inspected = world.run(inspect(*consumer_device));
  ASSERT_OK(inspected);
  EXPECT_EQ(inspected->format, GetParam().format);
  EXPECT_EQ(inspected->exposed, producer->exposed());
  EXPECT_EQ(inspected->identity, producer->identity());
}

TEST(Position, its_text_is_a_decimal_number_and_nothing_else_is_one) {
  EXPECT_EQ(Position::parse("4096")->offset(), 4096u);
  EXPECT_EQ(Position::from_offset(12).to_string(), "12");
  for (const char* text : {"", "-1", "x", "1 ", "99999999999999999999"}) {
    EXPECT_EQ(kind_of(Position::parse(text)), ErrorKind::invalid_argument) << text;
  }
}

}  // namespace
}  // namespace semper::ring
