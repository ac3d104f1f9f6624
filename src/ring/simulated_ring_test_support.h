// A ring on a simulated disk, and both of its sides.
#pragma once

#include <memory>

#include "ring/ring_test_support.h"
#include "semper/testing/simulated_disk.h"

namespace semper::ring::testing {

using semper::testing::SimulatedDisk;

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
inline SimulatedDisk after_power_loss(const SimulatedDisk& disk) {
  return disk.crash_image(0);
}

}  // namespace semper::ring::testing
