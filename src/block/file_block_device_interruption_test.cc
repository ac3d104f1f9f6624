// Operations of a file device that are cut off while the kernel is at them.
#include <gtest/gtest.h>

#include <cstring>

#include "file_worlds_test_support.h"

namespace semper::testing {
namespace {

constexpr std::size_t kBytes = std::size_t{1} << 20;

enum class How : std::uint8_t { cancel, destroy_loop };

class FileDeviceInterrupted : public ::testing::TestWithParam<std::tuple<IoMode, How>> {
 protected:
  // A read into `memory` on a loop of its own, cut off after so many turns of that.
  void cut_read(BlockDevice& device, AlignedBuffer& memory, std::size_t turns) {
    asio::cancellation_signal signal;
    bool ended = false;
    const auto read = [&]() -> Task<void> {
      static_cast<void>(co_await device.read(0, memory.span()));
      ended = true;
    };
    auto context = std::make_unique<asio::io_context>(1);
    asio::co_spawn(*context, read(), asio::bind_cancellation_slot(signal.slot(), asio::detached));
    for (std::size_t turn = 0; turn < turns; ++turn) context->poll();
    if (std::get<1>(GetParam()) == How::destroy_loop) return;  // with the context, in mid-flight
    signal.emit(asio::cancellation_type::terminal);
    context->restart();
    context->run();
    EXPECT_TRUE(ended);
  }
};

INSTANTIATE_TEST_SUITE_P(, FileDeviceInterrupted,
                         ::testing::Combine(::testing::Values(IoMode::automatic, IoMode::threads,
                                                              IoMode::inline_blocking),
                                            ::testing::Values(How::cancel, How::destroy_loop)));

TEST_P(FileDeviceInterrupted, nothing_is_read_into_memory_whose_coroutine_is_gone) {
  FileWorld world({.mode = std::get<0>(GetParam())});
  auto device = world.open(DeviceWorld::Access::read_write);
  ASSERT_TRUE(device);
  AlignedBuffer memory(kBytes);
  std::memset(memory.data(), 'd', memory.size());
  ASSERT_TRUE(run_on_a_scheduler((*device)->write_and_flush(0, memory.span())));
  const Bytes marked(kBytes, 'm');
  for (std::size_t round = 0; round < 100; ++round) {
    auto again = world.open(DeviceWorld::Access::read_write);
    ASSERT_TRUE(again);
    cut_read(**again, memory, 1 + round % 3);
    // Ours again: whoever writes into it now writes into what a caller has freed.
    std::memcpy(memory.data(), marked.data(), marked.size());
    ASSERT_TRUE(run_on_a_scheduler((*again)->close()));  // waits for what is in flight
    ASSERT_TRUE(memory.view() == marked) << "in round " << round;
  }
  ASSERT_TRUE(run_on_a_scheduler((*device)->read(0, memory.span())));
  EXPECT_EQ(memory.view(), Bytes(kBytes, 'd'));
}

TEST_P(FileDeviceInterrupted,
       a_write_that_is_cut_off_is_whole_or_what_it_was_and_the_handle_goes_on) {
  FileWorld world({.mode = std::get<0>(GetParam())});
  auto device = world.open(DeviceWorld::Access::read_write);
  ASSERT_TRUE(device);
  for (std::size_t round = 0; round < 50; ++round) {
    auto context = std::make_unique<asio::io_context>(1);
    asio::cancellation_signal signal;
    const auto write = [&](char byte) -> Task<void> {
      AlignedBuffer own(64 << 10);
      std::memset(own.data(), byte, own.size());
      static_cast<void>(co_await (*device)->write_and_flush(0, own.span()));
    };
    asio::co_spawn(*context, write(static_cast<char>('a' + round % 26)),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    for (std::size_t turn = 0; turn < round % 4; ++turn) context->poll();
    if (std::get<1>(GetParam()) == How::cancel) {
      signal.emit(asio::cancellation_type::terminal);
      context->restart();
      context->run();
    }
    context.reset();
    AlignedBuffer there(64 << 10);
    ASSERT_TRUE(run_on_a_scheduler((*device)->read(0, there.span())));
    EXPECT_EQ(there.view(), Bytes(there.size(), there.view().front())) << "torn in round " << round;
  }
}

}  // namespace
}  // namespace semper::testing
