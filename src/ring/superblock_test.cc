// Devices that have grown, were cut short, or lost the block by which a ring is known.
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

constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kSize = 1 << 20;
const Bytes kZeros(kBlock, '\0');

class RingSuperblock : public ::testing::Test {
 protected:
  void publish(const Bytes& item) {
    const auto device = ring_.disk.open();
    auto producer = ring_.world.producer(*device);
    ASSERT_OK(producer);
    ASSERT_OK(ring_.world.run(producer->publish(item)));
    ASSERT_OK(ring_.world.run(producer->detach()));
  }
  std::vector<Bytes> items() {
    Sides sides(ring_.world, ring_.disk);
    EXPECT_OK(sides.producer);
    EXPECT_OK(sides.consumer);
    return sides.consumer ? all_items(ring_.world, *sides.consumer) : std::vector<Bytes>();
  }
  Status create(Overwrite overwrite = Overwrite::blank_only) {
    const auto device = ring_.disk.open();
    CreateOptions options;
    options.env = ring_.world.env();
    options.overwrite = overwrite;
    return ring_.world.run(ring::create(*device, options));
  }
  Result<Info> inspect() {
    const auto device = ring_.disk.open();
    return ring_.world.run(ring::inspect(*device));
  }

  SimulatedRing ring_{kSize};
};

TEST_F(RingSuperblock, a_ring_that_grew_and_lost_its_first_block_keeps_its_items) {
  publish("one");
  publish("two");
  ring_.disk.resize(4 * kSize);
  ring_.disk.overwrite(0, kZeros);
  const auto info = inspect();
  ASSERT_OK(info);
  EXPECT_LT(info->capacity, kSize);
  EXPECT_THAT(items(), ElementsAre("one", "two"));
  ASSERT_OK(create());
  EXPECT_THAT(items(), ElementsAre("one", "two"));
  // Both copies are written again: neither the first block nor the old end is needed any more.
  ring_.disk.overwrite(kSize - kBlock, kZeros);
  EXPECT_THAT(items(), ElementsAre("one", "two"));
  ring_.disk.overwrite(0, kZeros);
  EXPECT_THAT(items(), ElementsAre("one", "two"));
}

TEST_F(RingSuperblock, positions_without_any_superblock_are_not_taken_for_a_free_device) {
  publish("one");
  ring_.disk.resize(2 * kSize);
  ring_.disk.overwrite(0, kZeros);
  ring_.disk.overwrite(kSize - kBlock, kZeros);
  const auto info = inspect();
  ASSERT_EQ(kind_of(info), ErrorKind::corrupt);
  EXPECT_THAT(info.error().message(), HasSubstr("the positions of a ring are there"));
  const Status refused = create();
  ASSERT_EQ(kind_of(refused), ErrorKind::corrupt);
  EXPECT_THAT(refused.error().message(), HasSubstr("the remains of a ring"));
  ASSERT_OK(create(Overwrite::anything));
  EXPECT_THAT(items(), IsEmpty());
}

TEST_F(RingSuperblock, a_ring_made_anew_is_found_again_where_an_earlier_one_ended) {
  publish("of the first ring");
  ring_.disk.resize(2 * kSize);
  ASSERT_OK(create());
  ASSERT_OK(create(Overwrite::also_a_ring));
  // The first ring's copy lies in the data of the second, at the end that the device once had.
  publish("of the second ring");
  ring_.disk.overwrite(0, kZeros);
  ring_.disk.overwrite(2 * kSize - kBlock, kZeros);
  EXPECT_EQ(kind_of(inspect()), ErrorKind::corrupt);
}

TEST_F(RingSuperblock,
       no_copy_of_the_superblock_is_written_over_items_of_a_device_that_was_cut_short) {
  // To the last byte of the data area.
  const Bytes large(60'000, 'x');
  std::vector<Bytes> whole;
  {
    const auto device = ring_.disk.open();
    auto producer = ring_.world.producer(*device);
    ASSERT_OK(producer);
    while (ring_.world.run(producer->publish(large))) whole.push_back(large);
    while (ring_.world.run(producer->publish("x"))) whole.push_back("x");
    ASSERT_OK(ring_.world.run(producer->detach()));
  }
  ring_.disk.resize(kSize - kBlock);
  ASSERT_OK(create());
  EXPECT_EQ(items(), whole);
  const auto device = ring_.disk.open();
  const auto damage = ring_.world.run(check_headers(*device));
  ASSERT_OK(damage);
  ASSERT_EQ(damage->size(), 1u);
  EXPECT_THAT(damage->front().why, HasSubstr("cut short"));
}

TEST_F(RingSuperblock, a_creation_that_was_interrupted_is_done_again) {
  SimulatedRing fresh(kSize);
  const auto device = fresh.disk.open();
  fresh.disk.overwrite(0, kZeros);
  fresh.disk.overwrite(kSize - kBlock, kZeros);
  EXPECT_EQ(kind_of(fresh.world.run(ring::inspect(*device))), ErrorKind::not_found);
  ASSERT_OK(fresh.world.create(*device));
}

TEST_F(RingSuperblock, a_block_that_the_power_spoilt_at_creation_is_no_loss) {
  SimulatedRing fresh(kSize);
  const auto device = fresh.disk.open();
  const Bytes garbage(kBlock, '\xa5');
  fresh.disk.overwrite(0, garbage);
  fresh.disk.overwrite(kSize - kBlock, kZeros);
  const auto info = fresh.world.run(ring::inspect(*device));
  ASSERT_EQ(kind_of(info), ErrorKind::not_found);
  EXPECT_THAT(info.error().message(), HasSubstr("never used"));
  fresh.disk.overwrite(0, kZeros);
  fresh.disk.overwrite(2 * kBlock, garbage);
  EXPECT_EQ(kind_of(fresh.world.run(ring::inspect(*device))), ErrorKind::not_found);
  // It may be somebody else's block: not without a word.
  EXPECT_EQ(kind_of(fresh.world.create(*device)), ErrorKind::permission);
  // Who has attached may have stored something.
  publish("one");
  ring_.disk.overwrite(0, garbage);
  ring_.disk.overwrite(kSize - kBlock, kZeros);
  EXPECT_EQ(kind_of(inspect()), ErrorKind::corrupt);
}

TEST(RingMark, a_mirage_ring_that_lost_its_mark_is_not_taken_for_a_free_device) {
  for (const std::uint32_t sector_size : {512u, 4096u}) {
    MemoryDisk memory({.size = std::size_t{64} << 10, .sector_size = sector_size});
    testing::World world({[&] { return memory.open(); }}, Format::mirage_1_0);
    const auto device = world.open();
    ASSERT_OK(world.create(*device));
    {
      auto producer = world.producer(*device);
      ASSERT_OK(producer);
      ASSERT_OK(world.run(producer->publish("an item")));
    }
    AlignedBuffer first(sector_size);
    ASSERT_OK(world.run(device->read(0, first.span())));
    const Bytes mark(first.view());
    ASSERT_OK(memory.overwrite(0, Bytes(sector_size, '\0')));
    const auto lost = world.run(inspect(*device));
    ASSERT_EQ(kind_of(lost), ErrorKind::corrupt) << sector_size;
    EXPECT_THAT(lost.error().message(), HasSubstr("mirage shared-block-device 1.0"));
    EXPECT_EQ(kind_of(world.create(*device)), ErrorKind::corrupt);
    ASSERT_OK(memory.overwrite(0, mark));
    auto consumer = world.consumer(*device);
    ASSERT_OK(consumer);
    EXPECT_THAT(all_items(world, *consumer), ElementsAre("an item"));
  }
}

}  // namespace
}  // namespace semper::ring
