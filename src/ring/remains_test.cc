// What is left of rings, and of other things, where one is made or opened.
#include <gmock/gmock.h>

#include "ring/simulated_ring_test_support.h"

namespace semper::ring {
namespace {

using testing::all_items;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kind_of;
using testing::Sides;
using testing::SimulatedRing;
using testing::World;

constexpr std::uint64_t kRemainsBlock = 4096;

TEST(RingRemains, words_of_a_ring_that_was_there_before_say_nothing_about_the_new_one) {
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

TEST(RingRemains, zeroed_pointers_of_mirage_are_not_believed) {
  for (const std::uint64_t sector : {1, 2}) {
    SimulatedRing ring(64 << 10, Format::mirage_1_0);
    {
      Sides sides(ring.world, ring.disk);
      ASSERT_OK(sides.producer);
      ASSERT_OK(ring.world.run(sides.producer->publish("one")));
    }
    ring.disk.overwrite(sector * kRemainsBlock, Bytes(kRemainsBlock, '\0'));
    Sides sides(ring.world, ring.disk);
    EXPECT_EQ(kind_of(sides.producer), ErrorKind::corrupt);
    EXPECT_EQ(kind_of(sides.consumer), ErrorKind::corrupt);
  }
}

TEST(RingRemains, what_is_left_of_a_ring_is_named_and_can_be_made_anew) {
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
    EXPECT_THAT(refused.error().message(), HasSubstr("the remains of a ring"));
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

TEST(RingRemains, a_ring_that_works_is_made_anew_only_where_it_is_said_and_nobody_is_attached) {
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

TEST(RingRemains, a_mark_of_anything_keeps_create_away_and_is_named) {
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

TEST(RingRemains, every_damaged_block_outside_the_items_is_found) {
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
      blocks = {0, 1, 2, 3, 4, 5, 6, 7, ring.disk.size() / kRemainsBlock - 1};
    for (const std::uint64_t block : blocks) {
      for (const std::uint64_t byte : {40u, 200u, 3000u}) {
        if (format == Format::mirage_1_0 && block == 0 && byte == 40) continue;
        SCOPED_TRACE("block " + std::to_string(block) + ", byte " + std::to_string(byte));
        ring.disk.flip_bit(block, byte * 8);
        const auto damages = ring.world.run(check_headers(*device));
        ring.disk.flip_bit(block, byte * 8);
        ASSERT_OK(damages);
        ASSERT_EQ(damages->size(), 1u);
        EXPECT_EQ(damages->front().offset, block * kRemainsBlock);
      }
    }
  }
}

}  // namespace
}  // namespace semper::ring
