// What is believed on a disk: after a failed flush, with pointers that were put back, of other rings'
// leftovers, and when several come at once.
#include <gmock/gmock.h>

#include "ring/ring_test_support.h"
#include "semper/testing/simulated_disk.h"

namespace semper::ring {
namespace {

using namespace std::chrono_literals;
using semper::testing::FlushFault;
using semper::testing::SimulatedDisk;
using testing::all_items;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kind_of;
using testing::World;

constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kDataAt = 8 * kBlock;

// A simulated disk with a ring on it.
class SimulatedRing {
 public:
  explicit SimulatedRing(std::uint64_t size = 1 << 20, Format format = Format::semper_1)
      : disk({.size = size}, Env{&disk_clock, &disk_random}),
        world({[this] { return disk.open(); }}, format) {
    const auto device = world.open();
    EXPECT_OK(world.create(*device));
  }

  semper::testing::SimulatedClock disk_clock;
  SeededRandom disk_random{1};
  SimulatedDisk disk;
  World world;
};

// Both sides on a disk, by themselves.
struct Sides {
  Sides(World& world, const SimulatedDisk& disk)
      : producer_device(disk.open()),
        consumer_device(disk.open()),
        producer(world.producer(*producer_device)),
        consumer(world.consumer(*consumer_device)) {}

  std::unique_ptr<BlockDevice> producer_device;
  std::unique_ptr<BlockDevice> consumer_device;
  Result<Producer> producer;
  Result<Consumer> consumer;
};

// The machine loses its power without anything that was not flushed.
SimulatedDisk after_power_loss(const SimulatedDisk& disk) {
  return disk.crash_image(0);
}

TEST(RingBelief, an_item_that_a_flush_failed_on_is_durable_when_it_is_returned) {
  SimulatedRing ring;
  {
    const auto device = ring.disk.open();
    auto producer = ring.world.producer(*device);
    ASSERT_OK(producer);
    ring.disk.fail_flush(1, FlushFault::io_error);
    EXPECT_EQ(kind_of(ring.world.run(producer->publish("x"))), ErrorKind::io);
  }
  Sides sides(ring.world, ring.disk);
  ASSERT_OK(sides.producer);
  ASSERT_OK(sides.consumer);
  const auto returned = all_items(ring.world, *sides.consumer);
  ASSERT_OK(ring.world.run(sides.producer->publish("y")));
  const SimulatedDisk image = after_power_loss(ring.disk);
  Sides later(ring.world, image);
  ASSERT_OK(later.producer);
  ASSERT_OK(later.consumer);
  auto expected = returned;
  expected.push_back("y");
  EXPECT_EQ(all_items(ring.world, *later.consumer), expected);
}

// A power loss while a producer confirmed its claim spoils both copies that the claim names.
TEST(RingBelief, an_attach_never_writes_over_the_only_copy_that_is_left) {
  constexpr std::uint64_t kCopies[] = {1, 2, 5};  // of the producer's pointer, in blocks
  for (const std::uint64_t left : kCopies) {
    SimulatedRing ring;
    {
      const auto device = ring.disk.open();
      auto producer = ring.world.producer(*device);
      ASSERT_OK(producer);
      ASSERT_OK(ring.world.run(producer->publish("x")));
    }
    {
      const auto device = ring.disk.open();
      AlignedBuffer garbage(kBlock);
      std::fill(garbage.span().begin(), garbage.span().end(), std::byte{0x5a});
      for (const std::uint64_t copy : kCopies) {
        if (copy == left) continue;
        ASSERT_OK(ring.world.run(device->write(copy * kBlock, std::as_const(garbage).span())));
      }
      ASSERT_OK(ring.world.run(device->flush()));
    }
    // What an attach writes is spoilt too, before any of its flushes.
    for (std::uint64_t failing = 1; failing <= 4; ++failing) {
      const auto device = ring.disk.open();
      ring.disk.fail_flush(failing, FlushFault::io_error);
      const auto producer = ring.world.producer(*device);
      semper::testing::DiskFaults faults;
      faults.garbage_at_crash = 1;
      ring.disk.set_faults(faults);
      ring.disk.power_cycle();
      ring.disk.set_faults({});
      SCOPED_TRACE("copy " + std::to_string(left) + ", flush " + std::to_string(failing));
      const auto later = ring.disk.open();
      EXPECT_OK(ring.world.run(inspect(*later)));
    }
  }
}

TEST(RingBelief, a_lone_consumer_returns_only_what_is_durable_after_a_failed_flush) {
  SimulatedRing ring;
  {
    const auto device = ring.disk.open();
    auto producer = ring.world.producer(*device);
    ASSERT_OK(producer);
    const Bytes large(50'000, 'x');
    ring.disk.fail_flush(1, FlushFault::io_error);
    EXPECT_EQ(kind_of(ring.world.run(producer->publish(large))), ErrorKind::io);
  }
  const auto device = ring.disk.open();
  auto consumer = ring.world.consumer(*device);
  ASSERT_OK(consumer);
  const auto returned = all_items(ring.world, *consumer);
  const SimulatedDisk image = after_power_loss(ring.disk);
  Sides later(ring.world, image);
  ASSERT_OK(later.consumer);
  EXPECT_EQ(all_items(ring.world, *later.consumer), returned);
}

TEST(RingBelief, a_consumer_beside_a_producer_whose_flush_failed_sees_what_is_durable_only) {
  SimulatedRing ring;
  const auto device = ring.disk.open();
  auto producer = ring.world.producer(*device);
  ASSERT_OK(producer);
  ASSERT_OK(ring.world.run(producer->publish("durable")));
  ring.disk.fail_flush(1, FlushFault::io_error);
  EXPECT_EQ(kind_of(ring.world.run(producer->publish("not durable"))), ErrorKind::io);
  const auto consumer_device = ring.disk.open();
  auto consumer = ring.world.consumer(*consumer_device);
  ASSERT_OK(consumer);
  EXPECT_THAT(all_items(ring.world, *consumer), ElementsAre("durable"));
}

TEST(RingBelief, two_failed_flushes_of_attaching_sides_take_no_pointer_back) {
  for (std::uint64_t failing = 1; failing <= 4; ++failing) {
    SCOPED_TRACE("flush " + std::to_string(failing) + " fails, twice");
    SimulatedRing ring;
    {
      Sides sides(ring.world, ring.disk);
      ASSERT_OK(sides.producer);
      ASSERT_OK(ring.world.run(sides.producer->publish("acknowledged")));
    }
    for (int attempt = 0; attempt < 2; ++attempt) {
      const auto device = ring.disk.open();
      ring.disk.fail_flush(failing, FlushFault::io_error);
      static_cast<void>(ring.world.producer(*device));
      ring.disk.calm();
    }
    const auto unsynced = ring.disk.unsynced().size();
    for (std::uint64_t fate = 0; fate < (std::uint64_t{1} << std::min<std::size_t>(unsynced, 8));
         ++fate) {
      // What was not kept has left garbage: the worst that a power loss does.
      std::vector<semper::testing::SectorFate> fates;
      for (std::size_t i = 0; i < unsynced; ++i) {
        fates.push_back((fate >> std::min<std::size_t>(i, 7) & 1) != 0
                            ? semper::testing::SectorFate::kept
                            : semper::testing::SectorFate::garbage);
      }
      const SimulatedDisk image = ring.disk.crash_image(ring.disk.interval(), fates);
      Sides later(ring.world, image);
      ASSERT_OK(later.producer);
      ASSERT_OK(later.consumer);
      ASSERT_THAT(all_items(ring.world, *later.consumer), ElementsAre("acknowledged"))
          << "fate " << fate;
    }
  }
}

// Runs `count` sessions of a producer and a consumer, each for one item.
void sessions(SimulatedRing& ring, int count) {
  for (int i = 0; i < count; ++i) {
    Sides sides(ring.world, ring.disk);
    ASSERT_OK(sides.producer);
    ASSERT_OK(sides.consumer);
    ASSERT_OK(ring.world.run(sides.producer->publish("consumed " + std::to_string(i))));
    const auto item = ring.world.run(sides.consumer->pop());
    ASSERT_OK(item);
    ASSERT_OK(ring.world.run(sides.consumer->advance(item->after)));
    ASSERT_OK(ring.world.run(sides.consumer->detach()));
    ASSERT_OK(ring.world.run(sides.producer->detach()));
  }
}

struct PutBack {
  const char* what;
  std::uint64_t first_block;
  std::uint64_t blocks;
  int rounds;  // between the copy and its return
};

TEST(RingBelief, pointers_that_were_put_back_never_hide_unread_items_in_silence) {
  const PutBack cases[] = {
      {"all, over a lap", 1, 6, 100},        {"all, within a lap", 1, 6, 5},
      {"two copies, over a lap", 1, 4, 100}, {"two copies, within a lap", 1, 4, 5},
      {"producer's, over a lap", 1, 2, 100}, {"producer's, within a lap", 1, 2, 5},
      {"consumer's, over a lap", 3, 2, 100}, {"consumer's, within a lap", 3, 2, 5}};
  for (const PutBack& back : cases) {
    SCOPED_TRACE(back.what);
    SimulatedRing ring(256 << 10);
    sessions(ring, 1);
    const Bytes copy = ring.disk.contents(back.first_block * kBlock, back.blocks * kBlock);
    sessions(ring, back.rounds);
    {
      Sides sides(ring.world, ring.disk);
      ASSERT_OK(sides.producer);
      ASSERT_OK(ring.world.run(sides.producer->publish("unread")));
      ASSERT_OK(ring.world.run(sides.producer->detach()));
      ASSERT_OK(ring.world.run(sides.consumer->detach()));
    }
    ring.disk.overwrite(back.first_block * kBlock, copy);
    const auto device = ring.disk.open();
    auto consumer = ring.world.consumer(*device);
    if (!consumer) {
      EXPECT_EQ(consumer.error().kind(), ErrorKind::corrupt);
      EXPECT_EQ(kind_of(ring.world.producer(*device)), ErrorKind::corrupt);
      continue;
    }
    const auto items = all_items(ring.world, *consumer);
    ASSERT_FALSE(items.empty());
    EXPECT_EQ(items.back(), "unread");
  }
}

TEST(RingBelief, damage_behind_a_long_stretch_of_pushes_hides_no_item_but_its_own) {
  testing::TestDisk disk = testing::memory_disk(64 << 20, 4096);
  for (const int damaged : {0, 15, 18}) {
    MemoryDisk memory({.size = 64 << 20});
    World world({[&] { return memory.open(); }});
    const auto device = world.open();
    ASSERT_OK(world.create(*device));
    AttachOptions options = world.options();
    options.memory_bytes = std::size_t{8} << 20;
    {
      auto producer = world.run(Producer::attach(*device, options));
      ASSERT_OK(producer);
      const Bytes item(1'000'000, 'x');
      for (int i = 0; i < 20; ++i) ASSERT_OK(world.run(producer->push(item)));
      ASSERT_OK(world.run(producer->publish("end")));
    }
    const std::uint64_t item_bytes = 1'003'520;
    ASSERT_OK(
        memory.overwrite(kDataAt + 3 * kBlock + static_cast<std::uint64_t>(damaged) * item_bytes,
                         Bytes(kBlock, 'Z')));
    std::size_t items = 0;
    std::size_t stretches = 0;
    const auto end = world.run(read_all(
        *device,
        [&](const ItemView&) -> Status {
          ++items;
          return {};
        },
        [&](const Damage&) -> Status {
          ++stretches;
          return {};
        },
        options));
    ASSERT_OK(end);
    EXPECT_EQ(items, 20u) << "item " << damaged << " is damaged";
    EXPECT_EQ(stretches, 1u);
  }
}

TEST(RingBelief, words_of_a_ring_that_was_there_before_say_nothing_about_the_new_one) {
  MemoryDisk memory({.size = 8192, .sector_size = 512});
  const auto keep = memory.open();  // the words live as long as a handle
  World world({[&] { return memory.open(); }}, Format::mirage_1_0);
  {
    const auto device = world.open();
    ASSERT_OK(world.create(*device));
    auto producer = world.producer(*device);
    ASSERT_OK(producer);
    for (int i = 0; i < 100; ++i) ASSERT_OK(world.run(producer->publish("x")));
  }
  ASSERT_OK(memory.overwrite(0, Bytes(8192, '\0')));
  const auto device = world.open();
  ASSERT_OK(world.create(*device));
  auto consumer = world.consumer(*device);
  ASSERT_OK(consumer);
  EXPECT_EQ(kind_of(world.run(consumer->pop())), ErrorKind::retry);
  const auto producer_device = world.open();
  auto producer = world.producer(*producer_device);
  ASSERT_OK(producer);
  ASSERT_OK(world.run(producer->publish("first")));
  EXPECT_THAT(all_items(world, *consumer), ElementsAre("first"));
}

TEST(RingBelief, zeroed_pointers_of_mirage_are_not_believed) {
  for (const std::uint64_t sector : {1, 2}) {
    SimulatedRing ring(64 << 10, Format::mirage_1_0);
    {
      Sides sides(ring.world, ring.disk);
      ASSERT_OK(sides.producer);
      ASSERT_OK(ring.world.run(sides.producer->publish("one")));
    }
    ring.disk.overwrite(sector * kBlock, Bytes(kBlock, '\0'));
    Sides sides(ring.world, ring.disk);
    EXPECT_EQ(kind_of(sides.producer), ErrorKind::corrupt);
    EXPECT_EQ(kind_of(sides.consumer), ErrorKind::corrupt);
  }
}

TEST(RingBelief, an_unflushed_consumer_frees_no_room_before_it_is_durable) {
  SeededRandom draws(3);
  semper::testing::SimulatedClock clock;
  SeededRandom random(5);
  SimulatedDisk disk({.size = 128 << 10, .keep_history = true}, Env{&clock, &random});
  World world({[&] { return disk.open(); }});
  const auto producer_device = world.open();
  const auto consumer_device = world.open();
  ASSERT_OK(world.create(*producer_device));
  auto producer = world.producer(*producer_device);
  ASSERT_OK(producer);
  AttachOptions careless = world.options();
  careless.flush = Flush::never;
  auto consumer = world.run(Consumer::attach(*consumer_device, careless));
  ASSERT_OK(consumer);
  const std::size_t first = disk.interval();
  for (int i = 0; i < 60; ++i) {
    const Bytes item(1000 + draws.below(20'000), 'x');
    const auto end = world.run(producer->publish(item));
    if (end && draws.below(3) != 0) continue;
    const auto items = world.run(consumer->pop_many());
    ASSERT_OK(items);
    ASSERT_OK(world.run(consumer->advance(items->back().after)));
  }
  for (std::size_t interval = first; interval < disk.interval(); ++interval) {
    for (int subset = 0; subset < 10; ++subset) {
      const SimulatedDisk image = disk.crash_image(interval, draws.next());
      Sides sides(world, image);
      ASSERT_OK(sides.producer);
      ASSERT_OK(sides.consumer);
      static_cast<void>(all_items(world, *sides.consumer));
      if (HasFailure()) return;
    }
  }
}

TEST(RingBelief, a_careful_consumer_returns_nothing_of_a_careless_producer_that_can_be_lost) {
  SimulatedRing ring(256 << 10);
  const auto producer_device = ring.disk.open();
  const auto consumer_device = ring.disk.open();
  AttachOptions careless = ring.world.options();
  careless.flush = Flush::never;
  auto producer = ring.world.run(Producer::attach(*producer_device, careless));
  ASSERT_OK(producer);
  auto consumer = ring.world.consumer(*consumer_device);
  ASSERT_OK(consumer);
  ASSERT_OK(ring.world.run(producer->publish("x")));
  ASSERT_THAT(all_items(ring.world, *consumer), ElementsAre("x"));
  const SimulatedDisk image = after_power_loss(ring.disk);
  Sides later(ring.world, image);
  ASSERT_OK(later.consumer);
  EXPECT_THAT(all_items(ring.world, *later.consumer), ElementsAre("x"));
}

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

TEST(RingBelief, of_two_machines_that_attach_at_once_one_is_refused) {
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

TEST(RingBelief, of_two_machines_that_consume_at_once_one_is_refused) {
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

TEST(RingBelief, of_two_machines_that_create_at_once_at_most_one_is_told_that_it_did) {
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

TEST(RingBelief, two_who_create_at_once_get_one_ring) {
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

TEST(RingBelief, attaching_acknowledges_a_pause_that_was_asked_for_before) {
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

TEST(RingBelief, a_producer_on_another_machine_notices_a_pause_when_it_pushes) {
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

TEST(RingBelief, a_consumer_takes_every_position_that_was_given_out_and_no_other) {
  for (const Format format : {Format::semper_1, Format::mirage_1_0}) {
    SCOPED_TRACE(to_string(format));
    SimulatedRing ring(256 << 10, format);
    Sides sides(ring.world, ring.disk);
    ASSERT_OK(sides.producer);
    ASSERT_OK(sides.consumer);
    World& world = ring.world;
    const std::vector<Bytes> batch{"first item", "second item", "third item"};
    const auto end = world.run(sides.producer->publish(batch));
    ASSERT_OK(end);
    const auto one_more = world.run(sides.producer->publish("fourth item"));
    ASSERT_OK(one_more);
    // The middle of a record, and of a header.
    for (const std::uint64_t offset : {4u, 8u, 20u, 24u}) {
      const Position inside = Position::from_offset(offset);
      EXPECT_EQ(kind_of(world.run(sides.consumer->advance(inside))), ErrorKind::invalid_argument);
      EXPECT_EQ(kind_of(world.run(sides.consumer->pop(inside))), ErrorKind::invalid_argument);
    }
    const auto at_end = world.run(sides.consumer->pop(*end));
    ASSERT_OK(at_end);
    EXPECT_EQ(at_end->bytes, "fourth item");
    ASSERT_OK(world.run(sides.consumer->advance(*end)));
    EXPECT_THAT(all_items(world, *sides.consumer), ElementsAre("fourth item"));
    ASSERT_OK(world.run(sides.consumer->advance(*one_more)));
    EXPECT_THAT(all_items(world, *sides.consumer), IsEmpty());
  }
}

TEST(RingBelief, what_is_left_of_a_ring_is_named_and_can_be_made_anew) {
  for (const bool mirage : {false, true}) {
    SCOPED_TRACE(mirage ? "as mirage" : "as semper");
    SimulatedRing ring(4 << 20);
    {
      Sides sides(ring.world, ring.disk);
      ASSERT_OK(ring.world.run(sides.producer->publish("a")));
    }
    ring.disk.overwrite(0, Bytes(1 << 20, '\0'));  // the superblock's second copy is there
    const auto device = ring.disk.open();
    CreateOptions options;
    options.format = mirage ? Format::mirage_1_0 : Format::semper_1;
    options.env = ring.world.env();
    const auto refused = ring.world.run(create(*device, options));
    ASSERT_EQ(kind_of(refused), ErrorKind::corrupt);
    EXPECT_THAT(refused.error().message(), HasSubstr("what is left of a ring"));
    options.overwrite = Overwrite::anything;
    ASSERT_OK(ring.world.run(create(*device, options)));
    Sides sides(ring.world, ring.disk);
    ASSERT_OK(sides.producer);
    ASSERT_OK(sides.consumer);
    EXPECT_EQ(sides.producer->format(), options.format);
    ASSERT_OK(ring.world.run(sides.producer->publish("b")));
    EXPECT_THAT(all_items(ring.world, *sides.consumer), ElementsAre("b"));
  }
}

TEST(RingBelief, a_ring_that_works_is_made_anew_only_where_it_is_said_and_nobody_is_attached) {
  SimulatedRing ring;
  const auto device = ring.disk.open();
  CreateOptions options;
  options.env = ring.world.env();
  {
    Sides sides(ring.world, ring.disk);
    ASSERT_OK(ring.world.run(sides.producer->publish("a")));
    options.overwrite = Overwrite::anything;
    ASSERT_OK(ring.world.run(create(*device, options)));
    EXPECT_THAT(all_items(ring.world, *sides.consumer), ElementsAre("a"));
    options.overwrite = Overwrite::also_a_ring;
    EXPECT_EQ(kind_of(ring.world.run(create(*device, options))), ErrorKind::conflict);
    EXPECT_THAT(all_items(ring.world, *sides.consumer), ElementsAre("a"));
  }
  ASSERT_OK(ring.world.run(create(*device, options)));
  Sides sides(ring.world, ring.disk);
  ASSERT_OK(sides.consumer);
  EXPECT_THAT(all_items(ring.world, *sides.consumer), IsEmpty());
}

TEST(RingBelief, a_mark_of_anything_keeps_create_away_and_is_named) {
  struct Mark {
    const char* of;
    std::uint64_t offset;
    Bytes bytes;
  };
  const std::uint64_t size = 8 << 20;
  const Mark marks[] = {{"btrfs", 65600, "_BHRfS_M"},
                        {"md 1.2", 4096, "\xfc\x4e\x2b\xa9"},
                        {"md 1.0", size - 8192, "\xfc\x4e\x2b\xa9"},
                        {"bcache", 4120, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca"},
                        {"jfs", 32768, "JFS1"},
                        {"zfs", 128 << 10, "\x0c\xb1\xba"},
                        {"luks 2, second header", 4 << 20, "SKUL\xba\xbe"},
                        {"lvm", 512, "LABELONE"},
                        {"dos", 510, "\x55\xaa"},
                        {"gpt, backup", size - 512, "EFI PART"}};
  for (const Mark& mark : marks) {
    SCOPED_TRACE(mark.of);
    MemoryDisk memory({.size = size, .sector_size = 512});
    World world({[&] { return memory.open(); }});
    ASSERT_OK(memory.overwrite(mark.offset, mark.bytes));
    const auto device = world.open();
    EXPECT_FALSE(*world.run(is_blank(*device)));
    const auto refused = world.create(*device);
    ASSERT_EQ(kind_of(refused), ErrorKind::permission);
    EXPECT_THAT(refused.error().message(), HasSubstr("it holds"));
  }
}

TEST(RingBelief, every_damaged_block_outside_the_items_is_found) {
  for (const Format format : {Format::semper_1, Format::mirage_1_0}) {
    SCOPED_TRACE(to_string(format));
    SimulatedRing ring(256 << 10, format);
    {
      Sides sides(ring.world, ring.disk);
      ASSERT_OK(sides.producer);
      ASSERT_OK(sides.consumer);
      ASSERT_OK(ring.world.run(sides.producer->publish("a")));
      const auto item = ring.world.run(sides.consumer->pop());
      ASSERT_OK(item);
      ASSERT_OK(ring.world.run(sides.consumer->advance(item->after)));
      ASSERT_OK(ring.world.run(sides.producer->detach()));
      ASSERT_OK(ring.world.run(sides.consumer->detach()));
    }
    const auto device = ring.disk.open();
    const auto sound = ring.world.run(check_headers(*device));
    ASSERT_OK(sound);
    EXPECT_THAT(*sound, IsEmpty());
    std::vector<std::uint64_t> blocks{0, 1, 2};
    if (format == Format::semper_1)
      blocks = {0, 1, 2, 3, 4, 5, 6, 7, ring.disk.size() / kBlock - 1};
    for (const std::uint64_t block : blocks) {
      for (const std::uint64_t byte : {40u, 200u, 3000u}) {
        if (format == Format::mirage_1_0 && block == 0 && byte == 40) continue;
        SCOPED_TRACE("block " + std::to_string(block) + ", byte " + std::to_string(byte));
        ring.disk.flip_bit(block, byte * 8);
        const auto damages = ring.world.run(check_headers(*device));
        ring.disk.flip_bit(block, byte * 8);
        ASSERT_OK(damages);
        ASSERT_EQ(damages->size(), 1u);
        EXPECT_EQ(damages->front().offset, block * kBlock);
      }
    }
  }
}

}  // namespace
}  // namespace semper::ring
