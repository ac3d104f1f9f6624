// When several come at once, and what sides ask of each other across machines.
#include <gmock/gmock.h>

#include "ring/simulated_ring_test_support.h"

namespace semper::ring {
namespace {

using namespace std::chrono_literals;
using semper::testing::SimulatedDisk;
using testing::all_items;
using testing::kind_of;
using testing::Sides;
using testing::SimulatedRing;
using testing::World;

// Attaches once it comes to it, and publishes for as long as it may.
Task<void> contend(World& world, BlockDevice& device, std::string machine,
                   std::vector<Bytes>& acknowledged) {
  AttachOptions options = world.options(machine);
  options.machine = machine;
  options.take_over = TakeOver::no;
  auto producer = co_await Producer::attach(device, options);
  for (int i = 0; producer && i < 5; ++i) {
    const Bytes item = machine + std::to_string(i);
    const auto end = co_await producer->publish(item);
    if (!end) co_return;
    acknowledged.push_back(item);
    static_cast<void>(co_await sleep_for(world.clock, 10ms));
  }
}

TEST(RingContenders, of_two_machines_that_attach_at_once_one_is_refused) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    semper::testing::SimulatedClock clock;
    SeededRandom random(seed);
    World world({[] { return std::unique_ptr<BlockDevice>(); }, {}, false});
    SimulatedDisk disk({.size = 1 << 20, .faults = {.delay = 1}}, Env{&world.clock, &random});
    testing::LonelyDevice first(disk.open());
    testing::LonelyDevice second(disk.open());
    ASSERT_OK(world.create(first));
    std::vector<Bytes> acknowledged;
    const auto both = [&]() -> Async<void> {
      const auto executor = co_await asio::this_coro::executor;
      asio::co_spawn(executor, contend(world, first, "A", acknowledged), asio::detached);
      SEMPER_CO_TRY_STATUS(co_await sleep_for(world.clock, std::chrono::milliseconds(seed % 5)));
      asio::co_spawn(executor, contend(world, second, "B", acknowledged), asio::detached);
      co_return co_await sleep_for(world.clock, 1min);
    };
    ASSERT_OK(world.run(both()));
    EXPECT_FALSE(acknowledged.empty());
    testing::LonelyDevice third(disk.open());
    auto consumer = world.consumer(third);
    ASSERT_OK(consumer);
    EXPECT_EQ(all_items(world, *consumer), acknowledged);
  }
}

// True where it was let in.
Task<void> consume_alone(World& world, BlockDevice& device, std::string machine, int& let_in) {
  AttachOptions options = world.options(machine);
  options.machine = machine;
  options.take_over = TakeOver::no;
  const auto consumer = co_await Consumer::attach(device, options);
  if (consumer) ++let_in;
  static_cast<void>(co_await sleep_for(world.clock, 30s));
}

TEST(RingContenders, of_two_machines_that_consume_at_once_one_is_refused) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    World world({[] { return std::unique_ptr<BlockDevice>(); }, {}, false});
    SimulatedDisk disk({.size = 1 << 20, .faults = {.delay = 1}}, Env{&world.clock, &random});
    testing::LonelyDevice first(disk.open());
    testing::LonelyDevice second(disk.open());
    ASSERT_OK(world.create(first));
    int let_in = 0;
    const auto both = [&]() -> Async<void> {
      const auto executor = co_await asio::this_coro::executor;
      asio::co_spawn(executor, consume_alone(world, first, "A", let_in), asio::detached);
      SEMPER_CO_TRY_STATUS(co_await sleep_for(world.clock, std::chrono::milliseconds(seed % 5)));
      asio::co_spawn(executor, consume_alone(world, second, "B", let_in), asio::detached);
      co_return co_await sleep_for(world.clock, 20s);
    };
    ASSERT_OK(world.run(both()));
    EXPECT_EQ(let_in, 1);
  }
}

TEST(RingContenders, of_two_machines_that_create_at_once_at_most_one_is_told_that_it_did) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    World world({[] { return std::unique_ptr<BlockDevice>(); }, {}, false});
    SimulatedDisk disk({.size = 1 << 20, .faults = {.delay = 1}}, Env{&world.clock, &random});
    testing::LonelyDevice first(disk.open());
    testing::LonelyDevice second(disk.open());
    int made = 0;
    const auto make = [&](BlockDevice& device) -> Task<void> {
      CreateOptions options;
      options.env = world.env();
      const Status status = co_await create(device, options);
      if (status) ++made;
    };
    const auto both = [&]() -> Async<void> {
      const auto executor = co_await asio::this_coro::executor;
      asio::co_spawn(executor, make(first), asio::detached);
      SEMPER_CO_TRY_STATUS(co_await sleep_for(world.clock, std::chrono::milliseconds(seed % 8)));
      asio::co_spawn(executor, make(second), asio::detached);
      co_return co_await sleep_for(world.clock, 20s);
    };
    ASSERT_OK(world.run(both()));
    EXPECT_LE(made, 1);
    if (made == 1) {
      EXPECT_OK(world.producer(first));
    }
  }
}

// Creates, then attaches as soon as the other lets it.
Task<void> create_and_publish(World& world, const SimulatedDisk& disk, std::string name,
                              std::vector<Bytes>& acknowledged) {
  const auto device = disk.open();
  CreateOptions options;
  options.env = world.env();
  EXPECT_OK(co_await create(*device, options));
  for (int attempt = 0; attempt < 5; ++attempt) {
    auto producer = co_await Producer::attach(*device, world.options(name));
    if (!producer) {
      EXPECT_EQ(producer.error().kind(), ErrorKind::conflict) << producer.error().to_string();
      static_cast<void>(co_await sleep_for(world.clock, 100ms));
      continue;
    }
    for (int i = 0; i < 3; ++i) {
      const Bytes item = name + std::to_string(i);
      const auto end = co_await producer->publish(item);
      EXPECT_OK(end);
      if (end) acknowledged.push_back(item);
    }
    static_cast<void>(co_await producer->detach());
    co_return;
  }
}

TEST(RingContenders, two_who_create_at_once_get_one_ring) {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SeededRandom random(seed);
    World world({[] { return std::unique_ptr<BlockDevice>(); }});
    world.random = SeededRandom(seed);
    SimulatedDisk disk({.size = 1 << 20, .faults = {.delay = 1}}, Env{&world.clock, &random});
    std::vector<Bytes> acknowledged;
    const auto both = [&]() -> Async<void> {
      const auto executor = co_await asio::this_coro::executor;
      asio::co_spawn(executor, create_and_publish(world, disk, "A", acknowledged), asio::detached);
      SEMPER_CO_TRY_STATUS(
          co_await sleep_for(world.clock, std::chrono::microseconds(seed % 40 * 500)));
      asio::co_spawn(executor, create_and_publish(world, disk, "B", acknowledged), asio::detached);
      co_return co_await sleep_for(world.clock, 1min);
    };
    ASSERT_OK(world.run(both()));
    const auto device = disk.open();
    auto consumer = world.consumer(*device);
    ASSERT_OK(consumer);
    ASSERT_EQ(all_items(world, *consumer), acknowledged);
  }
}

TEST(RingContenders, attaching_acknowledges_a_pause_that_was_asked_for_before) {
  SimulatedRing ring;
  Sides sides(ring.world, ring.disk);
  ASSERT_OK(sides.consumer);
  ASSERT_OK(ring.world.run(sides.producer->detach()));
  ASSERT_OK(ring.world.run(sides.consumer->suspend()));
  const auto device = ring.disk.open();
  auto producer = ring.world.producer(*device);
  ASSERT_OK(producer);
  EXPECT_EQ(*ring.world.run(sides.consumer->state()), State::suspended);
  ASSERT_OK(ring.world.run(producer->detach()));
  ASSERT_OK(ring.world.run(sides.consumer->resume()));
}

TEST(RingContenders, a_producer_on_another_machine_notices_a_pause_when_it_pushes) {
  SimulatedRing ring;
  testing::LonelyDevice producer_device(ring.disk.open());
  testing::LonelyDevice consumer_device(ring.disk.open());
  auto producer = ring.world.producer(producer_device);
  ASSERT_OK(producer);
  auto consumer = ring.world.consumer(consumer_device);
  ASSERT_OK(consumer);
  ASSERT_OK(ring.world.run(producer->publish("one")));
  ASSERT_OK(ring.world.run(consumer->suspend()));
  ASSERT_OK(ring.world.run(sleep_for(ring.world.clock, 1s)));
  EXPECT_EQ(kind_of(ring.world.run(producer->publish("two"))), ErrorKind::suspended);
  EXPECT_EQ(*ring.world.run(consumer->state()), State::suspended);
}

}  // namespace
}  // namespace semper::ring
