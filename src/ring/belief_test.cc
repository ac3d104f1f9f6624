// What is believed on a disk: after a failed flush, with positions that were put back, and of who
// is less careful.
#include <gmock/gmock.h>

#include "ring/simulated_ring_test_support.h"

namespace semper::ring {
namespace {

using semper::testing::FlushFault;
using semper::testing::SectorFate;
using semper::testing::SimulatedDisk;
using testing::after_power_loss;
using testing::all_items;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::kind_of;
using testing::Sides;
using testing::SimulatedRing;
using testing::World;

constexpr std::uint64_t kBeliefBlock = 4096;
constexpr std::uint64_t kDataAt = 8 * kBeliefBlock;

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

// A disk whose ring was made in spite of a failed flush: it may be in a cache only. False: no flush
// is left to fail, or nothing that looks like a ring is there.
bool make_unflushed_ring(SimulatedRing& maker, const SimulatedDisk& disk, std::uint64_t failing) {
  const auto device = disk.open();
  SimulatedDisk same = disk;
  same.fail_flush(failing, FlushFault::io_error);
  if (maker.world.create(*device)) return false;
  const auto again = disk.open();
  return maker.world.run(inspect(*again)).has_value();
}

class RingOfAFailedCreation : public ::testing::TestWithParam<Format> {
 protected:
  // Calls `use` with many such disks; which of the sectors are durable is drawn.
  template <class Use>
  void for_each_ring(Use use) {
    int rings = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      for (std::uint64_t failing = 1; failing <= 5; ++failing) {
        SimulatedRing maker(1 << 20, GetParam());
        maker.disk_random = SeededRandom(seed);
        const SimulatedDisk disk({.size = 1 << 20}, Env{&maker.disk_clock, &maker.disk_random});
        if (!make_unflushed_ring(maker, disk, failing)) continue;
        SCOPED_TRACE("seed " + std::to_string(seed) + ", flush " + std::to_string(failing));
        ++rings;
        use(maker.world, disk);
      }
    }
    EXPECT_GT(rings, 0) << "no creation left a ring behind";
  }
};

INSTANTIATE_TEST_SUITE_P(, RingOfAFailedCreation,
                         ::testing::Values(Format::semper_1, Format::mirage_1_0));

TEST_P(RingOfAFailedCreation, is_durable_once_it_was_created_again) {
  for_each_ring([](World& world, const SimulatedDisk& disk) {
    const auto device = disk.open();
    ASSERT_OK(world.create(*device));
    const auto later = after_power_loss(disk).open();
    const auto damage = world.run(check_headers(*later));
    ASSERT_OK(damage);
    EXPECT_THAT(*damage, IsEmpty());
  });
}

TEST_P(RingOfAFailedCreation, keeps_what_was_published_to_it) {
  for_each_ring([](World& world, const SimulatedDisk& disk) {
    const auto device = disk.open();
    auto producer = world.producer(*device);
    ASSERT_OK(producer);
    ASSERT_OK(world.run(producer->publish("x")));
    const auto later = after_power_loss(disk).open();
    auto consumer = world.consumer(*later);
    ASSERT_OK(consumer);
    EXPECT_THAT(all_items(world, *consumer), ElementsAre("x"));
  });
}

// What is being written when the power goes may be spoilt. With garbage in these blocks nobody
// could tell what is left from a ring that was in use, and it was `corrupt` until somebody made it
// anew by hand.
TEST(RingBelief, a_creation_that_is_cut_off_leaves_the_blocks_of_claims_as_they_were) {
  SimulatedRing maker;
  SimulatedDisk disk({.size = 1 << 20, .keep_history = true},
                     Env{&maker.disk_clock, &maker.disk_random});
  ASSERT_OK(maker.world.create(*disk.open()));
  for (std::size_t interval = 0; interval <= disk.interval(); ++interval) {
    const std::vector<SectorFate> spoilt(disk.unsynced(interval).size(), SectorFate::garbage);
    const auto left = disk.crash_image(interval, spoilt);
    EXPECT_EQ(left.contents(5 * kBeliefBlock, 3 * kBeliefBlock), Bytes(3 * kBeliefBlock, '\0'))
        << "cut off before flush " << interval + 1;
  }
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
      AlignedBuffer garbage(kBeliefBlock);
      std::fill(garbage.span().begin(), garbage.span().end(), std::byte{0x5a});
      for (const std::uint64_t copy : kCopies) {
        if (copy == left) continue;
        ASSERT_OK(
            ring.world.run(device->write(copy * kBeliefBlock, std::as_const(garbage).span())));
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

TEST(RingBelief, a_consumer_alongside_a_producer_whose_flush_failed_sees_only_what_is_durable) {
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
    const Bytes copy =
        ring.disk.contents(back.first_block * kBeliefBlock, back.blocks * kBeliefBlock);
    sessions(ring, back.rounds);
    {
      Sides sides(ring.world, ring.disk);
      ASSERT_OK(sides.producer);
      ASSERT_OK(ring.world.run(sides.producer->publish("unread")));
      ASSERT_OK(ring.world.run(sides.producer->detach()));
      ASSERT_OK(ring.world.run(sides.consumer->detach()));
    }
    ring.disk.overwrite(back.first_block * kBeliefBlock, copy);
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
    ASSERT_OK(memory.overwrite(
        kDataAt + 3 * kBeliefBlock + static_cast<std::uint64_t>(damaged) * item_bytes,
        Bytes(kBeliefBlock, 'Z')));
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

}  // namespace
}  // namespace semper::ring
