// Operations of a simulated disk that are cut off, and handles that go while something is under
// way.
#include <gtest/gtest.h>

#include <cstring>

#include "semper/env/direct_executor.h"
#include "semper/testing/interruption.h"
#include "semper/testing/simulated_disk.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;

class SlowDisk {
 public:
  SlowDisk() {
    DiskFaults slow;
    slow.delay = 1;
    slow.delay_by = 1ms;
    disk.set_faults(slow);
  }

  SimulatedClock clock;
  SeededRandom random{3};
  SimulatedDisk disk{{.size = 64 << 10, .sector_size = 512}, Env{&clock, &random}};
  InterruptibleLoop loop{clock};
};

class SimulatedDiskInterrupted : public ::testing::TestWithParam<Interruption> {};

INSTANTIATE_TEST_SUITE_P(, SimulatedDiskInterrupted,
                         ::testing::Values(Interruption::cancel, Interruption::destroy_loop));

// The memory is the coroutine's own, as a caller's mostly is. It goes on to its end also where it
// was cancelled during an operation that came to its end all the same; Asio would throw at the next
// one.
Async<void> all_operations(BlockDevice& device) {
  co_await asio::this_coro::throw_if_cancelled(false);
  AlignedBuffer memory(4096);
  std::memset(memory.data(), 'x', memory.size());
  SEMPER_CO_TRY_STATUS(co_await device.write(0, memory.span()));
  SEMPER_CO_TRY_STATUS(co_await device.flush());
  SEMPER_CO_TRY_STATUS(co_await device.write_and_flush(4096, memory.span()));
  co_return co_await device.read(0, memory.span());
}

TEST_P(SimulatedDiskInterrupted, the_handle_goes_on_and_closes) {
  const auto tried = at_each_await([&](std::size_t steps) {
    SlowDisk slow;
    const auto device = slow.disk.open();
    const auto outcome = slow.loop.interrupt(all_operations(*device), steps, GetParam());
    slow.loop.pass(1s);
    EXPECT_TRUE(slow.loop.run(all_operations(*device)));
    AlignedBuffer memory(512);
    EXPECT_TRUE(slow.loop.run(device->read(4096, memory.span())));
    EXPECT_EQ(memory.view(), Bytes(512, 'x'));
    const auto closed = slow.loop.interrupt(device->close(), steps, GetParam());
    EXPECT_TRUE(slow.loop.run(device->close()));
    static_cast<void>(closed);
    return outcome.interrupted;
  });
  EXPECT_GT(tried, 3u);
}

// A component whose work goes on by itself, and whose device is destroyed with its program.
TEST(SimulatedDiskHandle, a_handle_that_goes_ends_what_is_under_way_whether_slow_or_stuck) {
  for (const bool stuck : {false, true}) {
    SlowDisk slow;
    auto device = slow.disk.open();
    if (stuck) slow.disk.fail_write(1, WriteFault::stuck);
    Status outcome;
    bool ended = false;
    const DirectExecutor executor;
    executor.start([&]() -> Task<void> {
      outcome = co_await all_operations(*device);
      ended = true;
    });
    EXPECT_FALSE(ended);
    device.reset();
    ASSERT_TRUE(ended);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().kind(), ErrorKind::closed);
  }
}

}  // namespace
}  // namespace semper::testing
