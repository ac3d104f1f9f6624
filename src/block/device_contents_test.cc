#include "semper/block/device_contents.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <utility>

#include "semper/block/memory_block_device.h"
#include "semper/testing/simulated_clock.h"
#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kSize = std::uint64_t{64} << 20;

std::string contents_of(BlockDevice& device, DeviceContentsOptions options = {}) {
  testing::SimulatedClock clock;
  auto contents = testing::simulated_run(clock, device_contents(device, options));
  EXPECT_TRUE(contents) << contents.error().to_string();
  const auto blank = testing::simulated_run(clock, is_device_blank(device, options));
  EXPECT_TRUE(blank);
  EXPECT_EQ(*blank, contents->empty());
  return *contents;
}

TEST(DeviceContents, zeros_are_blank_whatever_the_size) {
  for (const std::uint64_t size : {std::uint64_t{512}, std::uint64_t{4096}, std::uint64_t{1} << 20,
                                   kSize, std::uint64_t{1} << 50}) {
    MemoryDisk disk({.size = size, .sector_size = 512});
    EXPECT_EQ(contents_of(*disk.open()), "") << size;
  }
}

TEST(DeviceContents, one_byte_where_a_mark_can_stand_is_not_blank) {
  for (const std::uint64_t offset :
       {std::uint64_t{0}, std::uint64_t{4096}, std::uint64_t{65600}, std::uint64_t{4} << 20,
        kSize - (std::uint64_t{512} << 10), kSize - 1}) {
    MemoryDisk disk({.size = kSize, .sector_size = 512});
    ASSERT_TRUE(disk.overwrite(offset, "x"));
    EXPECT_EQ(contents_of(*disk.open()), "data (from byte " + std::to_string(offset) + " on)");
  }
}

TEST(DeviceContents, what_is_the_callers_own_is_taken_for_zeros) {
  MemoryDisk disk({.size = kSize, .sector_size = 512});
  ASSERT_TRUE(disk.overwrite(32767, "x"));
  const DeviceContentsOptions own{.ignored_head_bytes = 32768};
  EXPECT_EQ(contents_of(*disk.open(), own), "");
  ASSERT_TRUE(disk.overwrite(32768, "x"));
  EXPECT_EQ(contents_of(*disk.open(), own), "data (from byte 32768 on)");
}

TEST(DeviceContents, swap_is_named_with_its_label) {
  MemoryDisk disk({.size = kSize, .sector_size = 512});
  ASSERT_TRUE(disk.overwrite(4086, "SWAPSPACE2"));
  ASSERT_TRUE(
      disk.overwrite(1024, Bytes("\1\0\0\0\xff\x0f\0\0\0\0\0\0", 12)));  // version, last page
  ASSERT_TRUE(disk.overwrite(1024 + 28, "spare room"));
  const std::string contents = contents_of(*disk.open());
  EXPECT_THAT(contents, HasSubstr("swap"));
  EXPECT_THAT(contents, HasSubstr("spare room"));
}

TEST(DeviceContents, a_partition_table_is_named) {
  MemoryDisk disk({.size = kSize, .sector_size = 512});
  // One Linux partition from sector 2048 on.
  ASSERT_TRUE(disk.overwrite(446, Bytes("\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x10\0\0", 16)));
  ASSERT_TRUE(disk.overwrite(510, "\x55\xaa"));
  EXPECT_THAT(contents_of(*disk.open()), HasSubstr("dos partition table"));
}

TEST(DeviceContents, encryption_is_named) {
  MemoryDisk disk({.size = kSize, .sector_size = 512});
  ASSERT_TRUE(disk.overwrite(0, Bytes("LUKS\xba\xbe\0\1", 8)));
  EXPECT_THAT(contents_of(*disk.open()), HasSubstr("encrypted"));
}

}  // namespace
}  // namespace semper
