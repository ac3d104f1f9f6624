// How often a producer writes its position to a device that both sides share: seldom, whether or
// not it flushes, for a crash looks for what lies behind it.
#include <gtest/gtest.h>

#include "ring_test_support.h"
#include "semper/env/scheduler.h"

namespace semper::ring {
namespace {

// Counts the writes of less than an item, which are positions here.
class CountingDevice final : public BlockDevice {
 public:
  explicit CountingDevice(std::unique_ptr<BlockDevice> device) : device_(std::move(device)) {}
  std::string_view name() const noexcept override { return device_->name(); }
  std::uint64_t size() const noexcept override { return device_->size(); }
  std::uint32_t sector_size() const noexcept override { return device_->sector_size(); }
  bool is_read_only() const noexcept override { return device_->is_read_only(); }
  std::string description() const override { return device_->description(); }
  DeviceCompanion* companion() noexcept override { return device_->companion(); }
  Async<void> read(std::uint64_t offset, ReadParts parts) override {
    return device_->read(offset, std::move(parts));
  }
  Async<void> write(std::uint64_t offset, WriteParts parts) override {
    std::size_t length = 0;
    for (const auto& part : parts) length += part.size();
    if (length < kItemBytes) ++positions;
    return device_->write(offset, std::move(parts));
  }
  Async<void> flush() override { return device_->flush(); }
  Async<void> close() override { return device_->close(); }

  static constexpr std::size_t kItemBytes = 64 << 10;
  int positions = 0;

 private:
  std::unique_ptr<BlockDevice> device_;
};

class PositionWrites : public ::testing::TestWithParam<Flush> {};

INSTANTIATE_TEST_SUITE_P(, PositionWrites, ::testing::Values(Flush::always, Flush::never),
                         [](const auto& of) {
                           return of.param == Flush::always ? "always" : "never";
                         });

TEST_P(PositionWrites, are_few_however_much_is_published) {
  const auto disk = testing::memory_disk(64 << 20, 512);
  CountingDevice device(disk.open());
  auto consumer_device = disk.open();
  Scheduler scheduler;
  const CreateOptions create_options;
  ASSERT_OK(scheduler.block_on(create(device, create_options)));
  AttachOptions options;
  options.flush = GetParam();
  auto producer = scheduler.block_on(Producer::attach(device, options));
  ASSERT_OK(producer);
  auto consumer = scheduler.block_on(Consumer::attach(*consumer_device, options));
  ASSERT_OK(consumer);
  const Bytes item(CountingDevice::kItemBytes, 'x');
  device.positions = 0;
  constexpr int kItems = 1000;  // four times what a crash looks at
  for (int i = 0; i < kItems; ++i) {
    ASSERT_OK(scheduler.block_on(producer->publish(item)));
    const auto popped = scheduler.block_on(consumer->pop());
    ASSERT_OK(popped);
    ASSERT_OK(scheduler.block_on(consumer->advance(popped->after)));
  }
  EXPECT_GT(device.positions, 0);
  EXPECT_LT(device.positions, kItems / 50);
}

}  // namespace
}  // namespace semper::ring
