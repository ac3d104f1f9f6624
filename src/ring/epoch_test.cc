// Each producer has an epoch of its own, by which its records are told from those that the one
// before has left behind them.
#include <gtest/gtest.h>

#include <string>

#include "ring/ring_test_support.h"

namespace semper::ring {
namespace {

TEST(RingEpochs, each_producer_writes_with_a_higher_epoch_than_the_one_before) {
  MemoryDisk disk({.size = 16 * 4096, .sector_size = 4096});
  testing::World world({[&] { return disk.open(); }});
  const auto device = world.open();
  ASSERT_OK(world.create(*device));
  std::uint64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    auto producer = world.producer(*device);
    ASSERT_OK(producer);
    ASSERT_OK(world.run(producer->publish("item")));
    const auto info = world.run(producer->debug_info());
    ASSERT_OK(info);
    std::uint64_t epoch = 0;
    for (const auto& [key, value] : *info) {
      if (key == "epoch") epoch = std::stoull(value);
    }
    EXPECT_GT(epoch, last);
    last = epoch;
    ASSERT_OK(world.run(producer->detach()));
  }
}

}  // namespace
}  // namespace semper::ring
