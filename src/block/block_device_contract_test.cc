// The contract of BlockDevice: one suite, instantiated for every device there is.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

#include "block_device_contract_test_support.h"
#include "semper/env/one_shot.h"

namespace semper::testing {
namespace {

using namespace std::chrono_literals;
using Access = DeviceWorld::Access;

class BlockDeviceContract : public ::testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    world_ = GetParam().make();
    if (!world_) GTEST_SKIP() << GetParam().name << " is not possible here; the reason is above";
    device_ = open();
    ASSERT_NE(device_, nullptr);
    sector_ = device_->sector_size();
  }

  std::unique_ptr<BlockDevice> open(Access access = Access::read_write) {
    auto opened = world_->open(access);
    EXPECT_TRUE(opened) << opened.error().to_string();
    return opened ? std::move(*opened) : nullptr;
  }

  template <class T>
  Result<T> run(Async<T> operation) {
    return scheduler_.block_on(std::move(operation));
  }

  AlignedBuffer read(BlockDevice& device, std::uint64_t offset, std::size_t length) {
    AlignedBuffer buffer(length);
    const auto status = run(device.read(offset, buffer.span()));
    EXPECT_TRUE(status) << status.error().to_string();
    return buffer;
  }

  std::unique_ptr<DeviceWorld> world_;
  std::unique_ptr<BlockDevice> device_;
  std::size_t sector_ = 0;
  Scheduler scheduler_;
};

TEST_P(BlockDeviceContract, says_what_it_is) {
  EXPECT_GE(device_->size(), kContractDiskSize);
  EXPECT_EQ(device_->size() % sector_, 0u);
  EXPECT_TRUE(sector_ == 512 || sector_ == 1024 || sector_ == 2048 || sector_ == 4096);
  EXPECT_FALSE(device_->is_read_only());
  EXPECT_FALSE(device_->name().empty());
  EXPECT_FALSE(device_->description().empty());
}

TEST_P(BlockDeviceContract, what_was_written_is_read_back_also_through_another_handle) {
  const auto written = pattern(3 * sector_, 1);
  ASSERT_TRUE(run(device_->write(sector_, written.span())));
  EXPECT_TRUE(same_bytes(read(*device_, sector_, 3 * sector_), written));
  auto other = open();
  EXPECT_TRUE(same_bytes(read(*other, sector_, 3 * sector_), written));
}

TEST_P(BlockDeviceContract, a_write_touches_no_neighbour) {
  const auto around = pattern(5 * sector_, 2);
  ASSERT_TRUE(run(device_->write(0, around.span())));
  const auto middle = pattern(sector_, 3);
  ASSERT_TRUE(run(device_->write_and_flush(2 * sector_, middle.span())));
  const auto all = read(*device_, 0, 5 * sector_);
  EXPECT_EQ(all.view().substr(0, 2 * sector_), around.view().substr(0, 2 * sector_));
  EXPECT_EQ(all.view().substr(2 * sector_, sector_), middle.view());
  EXPECT_EQ(all.view().substr(3 * sector_), around.view().substr(3 * sector_));
}

TEST_P(BlockDeviceContract, parts_are_written_and_read_in_order) {
  const auto a = pattern(sector_, 4);
  const auto b = pattern(2 * sector_, 5);
  ASSERT_TRUE(run(device_->write(0, WriteParts{b.span(), a.span(), b.span()})));
  AlignedBuffer first(2 * sector_);
  AlignedBuffer second(sector_);
  AlignedBuffer third(2 * sector_);
  ASSERT_TRUE(run(device_->read(0, ReadParts{first.span(), second.span(), third.span()})));
  EXPECT_TRUE(same_bytes(first, b));
  EXPECT_TRUE(same_bytes(second, a));
  EXPECT_TRUE(same_bytes(third, b));
}

TEST_P(BlockDeviceContract, more_parts_than_one_system_call_takes_are_all_written) {
  constexpr std::size_t kParts = 1500;
  const std::size_t parts = std::min(kParts, static_cast<std::size_t>(device_->size()) / sector_);
  const auto written = pattern(parts * sector_, 6);
  AlignedBuffer read_back(parts * sector_);
  WriteParts write_parts;
  ReadParts read_parts;
  for (std::size_t i = 0; i < parts; ++i) {
    write_parts.push_back(written.span().subspan(i * sector_, sector_));
    read_parts.push_back(read_back.span().subspan(i * sector_, sector_));
  }
  ASSERT_TRUE(run(device_->write(0, write_parts)));
  ASSERT_TRUE(run(device_->read(0, read_parts)));
  EXPECT_TRUE(same_bytes(read_back, written));
}

TEST_P(BlockDeviceContract, the_last_sector_can_be_written) {
  const auto written = pattern(sector_, 7);
  const auto last = device_->size() - sector_;
  ASSERT_TRUE(run(device_->write(last, written.span())));
  EXPECT_TRUE(same_bytes(read(*device_, last, sector_), written));
}

TEST_P(BlockDeviceContract, nothing_to_write_or_read_is_no_error) {
  EXPECT_TRUE(run(device_->write(0, WriteParts{})));
  EXPECT_TRUE(run(device_->read(device_->size(), ReadParts{})));
  EXPECT_TRUE(run(device_->flush()));
  EXPECT_TRUE(run(device_->write_and_flush(0, WriteParts{})));
}

TEST_P(BlockDeviceContract, many_operations_in_flight_do_not_mix_their_bytes) {
  constexpr std::size_t kOperations = 100;
  std::vector<AlignedBuffer> buffers;
  for (std::size_t i = 0; i < kOperations; ++i) buffers.push_back(pattern(2 * sector_, 100 + i));
  auto write_all = [&]() -> Async<void> {
    std::size_t left = kOperations;
    OneShot<int> done;
    const auto executor = co_await asio::this_coro::executor;
    auto write_one = [&](std::size_t i) -> Task<void> {
      const WriteParts parts(buffers[i].span());
      const bool and_flush = i % 10 == 0;
      if (and_flush) {
        EXPECT_TRUE(co_await device_->write_and_flush(i * 2 * sector_, parts));
      } else {
        EXPECT_TRUE(co_await device_->write(i * 2 * sector_, parts));
      }
      if (--left == 0) done.set(1);
    };
    for (std::size_t i = 0; i < kOperations; ++i) {
      asio::co_spawn(executor, write_one(i), asio::detached);
    }
    SEMPER_CO_TRY_STATUS(co_await done.wait());
    co_return co_await device_->flush();
  };
  ASSERT_TRUE(run(write_all()));
  for (std::size_t i = 0; i < kOperations; ++i) {
    EXPECT_TRUE(same_bytes(read(*device_, i * 2 * sector_, 2 * sector_), buffers[i])) << i;
  }
}

TEST_P(BlockDeviceContract, threads_may_use_one_handle_at_once) {
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kRounds = 50;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Scheduler own;
      AlignedBuffer back(sector_);
      for (std::size_t i = 0; i < kRounds; ++i) {
        const auto written = pattern(sector_, t * kRounds + i);
        const auto offset = t * sector_;
        EXPECT_TRUE(own.block_on(device_->write(offset, written.span())));
        EXPECT_TRUE(own.block_on(device_->read(offset, back.span())));
        EXPECT_TRUE(same_bytes(back, written));
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST_P(BlockDeviceContract, an_operation_completes_on_its_callers_executor) {
  auto stays = [&]() -> Async<void> {
    AlignedBuffer buffer(sector_);
    const auto thread = std::this_thread::get_id();
    EXPECT_TRUE(co_await device_->read(0, buffer.span()));
    EXPECT_EQ(std::this_thread::get_id(), thread);
    EXPECT_TRUE(co_await device_->flush());
    EXPECT_EQ(std::this_thread::get_id(), thread);
    co_return Status{};
  };
  ASSERT_TRUE(run(stays()));
}

TEST_P(BlockDeviceContract, a_read_only_handle_reads_and_refuses_to_write) {
  const auto written = pattern(sector_, 8);
  ASSERT_TRUE(run(device_->write_and_flush(0, written.span())));
  auto reader = open(Access::read_only);
  EXPECT_TRUE(reader->is_read_only());
  EXPECT_TRUE(same_bytes(read(*reader, 0, sector_), written));
  const auto other = pattern(sector_, 9);
  const auto refused = run(reader->write(0, other.span()));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::permission);
  const auto refused_too = run(reader->write_and_flush(0, other.span()));
  ASSERT_FALSE(refused_too);
  EXPECT_EQ(refused_too.error().kind(), ErrorKind::permission);
  EXPECT_TRUE(same_bytes(read(*reader, 0, sector_), written));
}

TEST_P(BlockDeviceContract, a_closed_handle_refuses_everything_and_the_others_go_on) {
  auto other = open();
  ASSERT_TRUE(run(device_->close()));
  ASSERT_TRUE(run(device_->close()));
  AlignedBuffer buffer(sector_);
  const auto expect_closed = [&](const Status& status) {
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind(), ErrorKind::closed);
    EXPECT_NE(status.error().message().find(device_->name()), std::string::npos);
  };
  expect_closed(run(device_->read(0, buffer.span())));
  expect_closed(run(device_->write(0, buffer.span())));
  expect_closed(run(device_->flush()));
  expect_closed(run(device_->write_and_flush(0, buffer.span())));
  EXPECT_TRUE(run(other->write_and_flush(0, buffer.span())));
}

TEST_P(BlockDeviceContract, close_waits_for_what_is_in_flight) {
  const auto written = pattern(64 * sector_, 10);
  bool write_ended = false;
  auto close_meanwhile = [&]() -> Async<void> {
    const auto executor = co_await asio::this_coro::executor;
    OneShot<int> ended;
    auto write = [&]() -> Task<void> {
      const WriteParts parts(written.span());
      EXPECT_TRUE(co_await device_->write_and_flush(0, parts));
      write_ended = true;
      ended.set(1);
    };
    asio::co_spawn(executor, write(), asio::detached);
    co_await yield_now();
    SEMPER_CO_TRY_STATUS(co_await device_->close());
    EXPECT_TRUE(co_await ended.wait());
    co_return Status{};
  };
  ASSERT_TRUE(run(close_meanwhile()));
  EXPECT_TRUE(write_ended);
  auto again = open();
  EXPECT_TRUE(same_bytes(read(*again, 0, 64 * sector_), written));
}

TEST_P(BlockDeviceContract, what_is_not_aligned_is_the_callers_bug) {
  // On this thread: the child of a death test has no other.
  ::testing::GTEST_FLAG(death_test_style) = "fast";
  const auto here = [](Async<void> operation) {
    asio::io_context context(1);
    asio::co_spawn(context, std::move(operation), asio::detached);
    context.run();
  };
  AlignedBuffer buffer(2 * sector_);
  const auto whole = buffer.span();
  EXPECT_DEATH(here(device_->read(1, whole)), "multiple of the sector size");
  EXPECT_DEATH(here(device_->write(0, whole.first(sector_ - 1))), "multiple of the sector size");
  EXPECT_DEATH(here(device_->write(0, whole.subspan(8, sector_))), "memory is aligned");
  EXPECT_DEATH(here(device_->read(device_->size(), whole)), "inside the device");
}

INSTANTIATE_TEST_SUITE_P(Devices, BlockDeviceContract, ::testing::ValuesIn(all_device_kinds()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace semper::testing
