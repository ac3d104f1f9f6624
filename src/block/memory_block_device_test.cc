#include "semper/block/memory_block_device.h"

#include <gtest/gtest.h>

#include <cstring>

#include "semper/testing/simulated_run.h"

namespace semper {
namespace {

using testing::simulated_run;
using testing::SimulatedClock;

constexpr std::uint64_t kTebibyte = std::uint64_t{1} << 40;

TEST(MemoryBlockDevice, a_huge_disk_costs_what_was_written_to_it) {
  SimulatedClock clock;
  MemoryDisk disk({.size = kTebibyte});
  auto device = disk.open();
  AlignedBuffer page(4096);
  ASSERT_TRUE(simulated_run(clock, device->write(kTebibyte - 4096, page.span())));
  EXPECT_EQ(disk.memory_used(), 0u) << "zeros need no memory";
  std::memset(page.data(), 7, page.size());
  ASSERT_TRUE(simulated_run(clock, device->write(kTebibyte - 4096, page.span())));
  EXPECT_EQ(disk.memory_used(), 4096u);
  AlignedBuffer back(4096);
  ASSERT_TRUE(simulated_run(clock, device->read(kTebibyte - 4096, back.span())));
  EXPECT_EQ(back.view(), page.view());
}

TEST(MemoryBlockDevice, more_than_max_memory_is_refused_and_the_handle_goes_on) {
  SimulatedClock clock;
  MemoryBlockDevice device({.size = kTebibyte, .max_memory = 8192});
  AlignedBuffer page(4096);
  std::memset(page.data(), 7, page.size());
  ASSERT_TRUE(simulated_run(clock, device.write(0, page.span())));
  ASSERT_TRUE(simulated_run(clock, device.write(4096, page.span())));
  const auto refused = simulated_run(clock, device.write(1 << 20, page.span()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted);
  ASSERT_TRUE(refused.error().limit());
  EXPECT_STREQ(refused.error().limit()->name, "max_memory");
  EXPECT_NE(refused.error().message().find("8192"), std::string::npos);
  EXPECT_TRUE(simulated_run(clock, device.write(4096, page.span())));
}

TEST(MemoryBlockDevice, an_image_of_any_alignment_is_put_in_and_taken_out) {
  MemoryDisk disk({.size = 16384, .sector_size = 512});
  ASSERT_TRUE(disk.overwrite(4000, "an image across two pages of memory" + Bytes(200, 'x')));
  EXPECT_EQ(disk.contents(4000, 8), "an image");
  EXPECT_EQ(disk.contents(3999, 2), Bytes({'\0', 'a'}));
  EXPECT_EQ(disk.contents(0, 16384).size(), 16384u);
}

}  // namespace
}  // namespace semper
