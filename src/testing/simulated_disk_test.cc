#include "semper/testing/simulated_disk.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "semper/env/one_shot.h"
#include "semper/testing/seed.h"
#include "semper/testing/simulated_run.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kSector = 512;

class SimulatedDiskTest : public ::testing::Test {
 protected:
  AlignedBuffer filled(char with, std::size_t sectors = 1) const {
    AlignedBuffer buffer(sectors * kSector);
    std::memset(buffer.data(), with, buffer.size());
    return buffer;
  }
  template <class T>
  Result<T> run(Async<T> operation) {
    return simulated_run(clock_, std::move(operation));
  }
  Status write(BlockDevice& device, std::uint64_t sector, char with, std::size_t sectors = 1) {
    const auto buffer = filled(with, sectors);
    return run(device.write(sector * kSector, buffer.span()));
  }
  // The first byte of each of the first sectors; '.' where it is zero.
  static std::string firsts(const SimulatedDisk& disk, std::size_t sectors) {
    std::string text;
    for (std::size_t i = 0; i < sectors; ++i) {
      const char first = disk.contents(i * kSector, 1)[0];
      text += first == 0 ? '.' : first;
    }
    return text;
  }

  SimulatedClock clock_;
  SeededRandom random_{test_seed()};
  SimulatedDisk disk_{{.size = 64 * kSector, .sector_size = kSector}, Env{&clock_, &random_}};
};

TEST_F(SimulatedDiskTest, every_subset_of_unsynced_sectors_has_its_image_and_no_other) {
  auto device = disk_.open();
  ASSERT_TRUE(write(*device, 0, 'a'));
  ASSERT_TRUE(run(device->flush()));
  ASSERT_TRUE(write(*device, 0, 'b', 2));
  ASSERT_TRUE(write(*device, 0, 'c'));
  ASSERT_EQ(disk_.crash_count(), 8u);
  std::set<std::string> images;
  for (std::uint64_t kept = 0; kept < disk_.crash_count(); ++kept) {
    images.insert(firsts(disk_.crash_image(kept), 3));
  }
  EXPECT_EQ(images, (std::set<std::string>{"a..", "b..", "c..", "ab.", "bb.", "cb."}));
  EXPECT_EQ(firsts(disk_, 3), "cb.") << "images change nothing on the disk itself";
}

TEST_F(SimulatedDiskTest, what_was_flushed_survives_every_power_loss) {
  auto device = disk_.open();
  ASSERT_TRUE(write(*device, 0, 'a', 4));
  ASSERT_TRUE(run(device->flush()));
  for (int i = 0; i < 20; ++i) {
    auto again = disk_.open();
    ASSERT_TRUE(write(*again, 4, 'x', 4));
    disk_.power_cycle();
    ASSERT_EQ(firsts(disk_, 4), "aaaa");
  }
  EXPECT_GT(disk_.happened()["dropped_at_crash"], 0u);
}

TEST_F(SimulatedDiskTest, garbage_is_neither_the_old_nor_the_new_sector) {
  auto device = disk_.open();
  ASSERT_TRUE(write(*device, 0, 'a'));
  const auto image = disk_.crash_image(disk_.interval(), {SectorFate::garbage});
  EXPECT_NE(image.contents(0, kSector), Bytes(kSector, 'a'));
  EXPECT_NE(image.contents(0, kSector), Bytes(kSector, '\0'));
  const auto again = disk_.crash_image(disk_.interval(), {SectorFate::garbage});
  EXPECT_EQ(image.contents(0, kSector), again.contents(0, kSector));
}

TEST_F(SimulatedDiskTest, one_run_serves_crashes_in_all_of_its_intervals) {
  SimulatedDisk disk({.size = 64 * kSector, .sector_size = kSector, .keep_history = true},
                     Env{&clock_, &random_});
  auto device = disk.open();
  ASSERT_TRUE(write(*device, 0, 'a', 2));
  ASSERT_TRUE(run(device->flush()));
  ASSERT_TRUE(write(*device, 0, 'b'));
  ASSERT_TRUE(run(device->flush()));
  ASSERT_TRUE(write(*device, 2, 'c'));
  ASSERT_EQ(disk.interval(), 2u);
  EXPECT_EQ(disk.crash_count(0), 4u);
  EXPECT_EQ(firsts(disk.crash_image(0, 0b10), 3), ".a.");
  EXPECT_EQ(firsts(disk.crash_image(1, 0), 3), "aa.");
  EXPECT_EQ(firsts(disk.crash_image(1, 1), 3), "ba.");
  EXPECT_EQ(firsts(disk.crash_image(2, 0), 3), "ba.");
  EXPECT_EQ(firsts(disk.crash_image(2, 1), 3), "bac");
}

TEST_F(SimulatedDiskTest, a_write_in_flight_at_a_flush_stays_unsynced) {
  auto device = disk_.open();
  disk_.fail_write(1, WriteFault::stuck);
  ASSERT_TRUE(run([&]() -> Async<void> {
    const auto executor = co_await asio::this_coro::executor;
    const auto buffer = filled('a');
    OneShot<int> ended;
    auto stuck = [&]() -> Task<void> {
      EXPECT_TRUE(co_await device->write(0, buffer.span()));
      ended.set(1);
    };
    asio::co_spawn(executor, stuck(), asio::detached);
    co_await yield_now();
    EXPECT_TRUE(co_await device->flush());
    EXPECT_EQ(disk_.unsynced().size(), 1u);
    EXPECT_FALSE(ended.is_set());
    disk_.release();
    EXPECT_TRUE(co_await ended.wait());
    EXPECT_TRUE(co_await device->flush());
    EXPECT_EQ(disk_.unsynced().size(), 0u);
    co_return Status{};
  }()));
}

TEST_F(SimulatedDiskTest, a_failed_flush_is_final_and_no_later_flush_repairs_it) {
  auto device = disk_.open();
  ASSERT_TRUE(write(*device, 0, 'a'));
  disk_.fail_flush(1, FlushFault::io_error);
  const auto failed = run(device->flush());
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().kind(), ErrorKind::io);
  const auto refused = write(*device, 1, 'b');
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), failed.error());
  EXPECT_EQ(run(device->flush()).error(), failed.error());

  auto other = disk_.open();
  ASSERT_TRUE(run(other->flush()));
  EXPECT_EQ(disk_.crash_count(), 2u) << "the other handle's flush does not know of it";
  ASSERT_TRUE(write(*other, 0, 'c'));
  ASSERT_TRUE(run(other->flush()));
  EXPECT_EQ(disk_.crash_count(), 1u);
  EXPECT_EQ(firsts(disk_.crash_image(0), 1), "c");
}

TEST_F(SimulatedDiskTest, every_handle_that_was_open_hears_of_a_failed_flush_at_its_next_one) {
  auto device = disk_.open();
  auto neighbour = disk_.open();
  ASSERT_TRUE(write(*neighbour, 0, 'a'));
  disk_.fail_flush(1, FlushFault::io_error);
  ASSERT_FALSE(run(device->flush()));
  EXPECT_FALSE(run(neighbour->flush())) << "what it wrote may be lost";
  EXPECT_FALSE(write(*neighbour, 1, 'b'));
}

TEST_F(SimulatedDiskTest, a_lying_flush_loses_what_it_promised) {
  auto device = disk_.open();
  ASSERT_TRUE(write(*device, 0, 'a'));
  disk_.fail_flush(1, FlushFault::lies);
  ASSERT_TRUE(run(device->flush()));
  EXPECT_EQ(firsts(disk_.crash_image(0), 1), ".");
}

TEST_F(SimulatedDiskTest, scripted_write_faults_hit_the_nth_write) {
  auto device = disk_.open();
  disk_.fail_write(2, WriteFault::no_room);
  disk_.fail_write(3, WriteFault::io_error);
  EXPECT_TRUE(write(*device, 0, 'a'));
  EXPECT_EQ(write(*device, 0, 'a').error().kind(), ErrorKind::exhausted);
  EXPECT_EQ(write(*device, 0, 'a').error().kind(), ErrorKind::io);
  EXPECT_TRUE(write(*device, 0, 'a')) << "only a failed flush is final";
}

TEST_F(SimulatedDiskTest, a_misdirected_write_leaves_its_place_and_spoils_another) {
  auto device = disk_.open();
  disk_.fail_write(1, WriteFault::misdirected);
  ASSERT_TRUE(write(*device, 3, 'm'));
  const auto all = firsts(disk_, 64);
  EXPECT_EQ(all[3], '.');
  EXPECT_EQ(std::count(all.begin(), all.end(), 'm'), 1);
}

TEST_F(SimulatedDiskTest, a_flipped_bit_stays_flipped) {
  auto device = disk_.open();
  ASSERT_TRUE(write(*device, 0, 'a'));
  ASSERT_TRUE(run(device->flush()));
  disk_.flip_bit(0, 1);
  disk_.power_cycle();
  EXPECT_EQ(firsts(disk_, 1), "c");
}

TEST_F(SimulatedDiskTest, after_a_power_loss_old_handles_are_dead_and_the_companion_is_new) {
  auto device = disk_.open();
  device->companion()->word(0).store(7);
  auto role = device->companion()->take(0);
  ASSERT_TRUE(role);
  disk_.power_cycle();
  EXPECT_EQ(write(*device, 0, 'a').error().kind(), ErrorKind::io);
  auto again = disk_.open();
  EXPECT_EQ(again->companion()->word(0).load(), 0u);
  EXPECT_TRUE(again->companion()->take(0));
  EXPECT_TRUE(write(*again, 0, 'a'));
}

TEST_F(SimulatedDiskTest, an_unplugged_or_shrunk_device_says_so) {
  auto device = disk_.open();
  disk_.resize(32 * kSector);
  const auto beyond = write(*device, 40, 'a');
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().kind(), ErrorKind::io);
  EXPECT_NE(beyond.error().message().find("16384"), std::string::npos) << "where it ends now";
  EXPECT_TRUE(write(*device, 31, 'a'));
  disk_.unplug();
  EXPECT_EQ(write(*device, 0, 'a').error().kind(), ErrorKind::io);
  EXPECT_EQ(disk_.try_open().error().kind(), ErrorKind::not_found);
  disk_.plug_in();
  EXPECT_EQ(disk_.open()->size(), 32 * kSector);
}

TEST_F(SimulatedDiskTest, chance_makes_faults_of_every_kind_and_slow_operations_end) {
  auto device = disk_.open();
  disk_.set_faults({.read_error = 0.2,
                    .write_error = 0.2,
                    .write_no_room = 0.2,
                    .misdirected_write = 0.2,
                    .bit_rot = 0.2,
                    .delay = 0.5});
  AlignedBuffer buffer(kSector);
  for (int i = 0; i < 200; ++i) {
    static_cast<void>(write(*device, 1, 'a'));
    static_cast<void>(run(device->read(0, buffer.span())));
    ASSERT_TRUE(run(device->flush()));
  }
  const auto happened = disk_.happened();
  for (const char* fault :
       {"read_error", "write_error", "write_no_room", "misdirected_write", "bit_rot", "delay"}) {
    EXPECT_TRUE(happened.contains(fault)) << fault;
  }
}

}  // namespace
}  // namespace semper::testing
