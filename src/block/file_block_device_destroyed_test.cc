// A file device that is destroyed while somebody else is inside: work that outlives its callers'
// loop goes from operation to operation on the device's own threads.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>

#include "file_worlds_test_support.h"
#include "semper/env/direct_executor.h"

namespace semper::testing {
namespace {

class FileDeviceDestroyed : public ::testing::TestWithParam<IoMode> {};

INSTANTIATE_TEST_SUITE_P(, FileDeviceDestroyed,
                         ::testing::Values(IoMode::automatic, IoMode::threads));

// Rounds, since only a race shows it.
TEST_P(FileDeviceDestroyed, work_under_way_ends_with_an_error_and_touches_nothing_that_is_gone) {
  struct Work {
    AlignedBuffer bytes{4096};
    std::atomic<int> writes = 0;
    std::atomic<bool> ended = false;
    ErrorKind why{};
  };
  FileWorld world({.mode = GetParam(), .cache = DeviceCache::page_cache});
  for (int round = 0; round < 200; ++round) {
    auto device = world.open(DeviceWorld::Access::read_write);
    ASSERT_TRUE(device);
    const auto work = std::make_shared<Work>();
    const DirectExecutor executor;
    executor.start([work, target = device->get()]() -> Task<void> {
      Status status;
      while (status) {
        status = co_await target->write(0, work->bytes.span());
        ++work->writes;
      }
      work->why = status.error().kind();
      work->ended = true;
    });
    while (work->writes.load() < 2) {
    }
    for (std::atomic<int> spin = 0; spin < round * 37 % 3000; ++spin) {
    }
    device->reset();
    ASSERT_TRUE(work->ended.load()) << "in round " << round;
    ASSERT_EQ(work->why, ErrorKind::closed) << "in round " << round;
  }
}

}  // namespace
}  // namespace semper::testing
