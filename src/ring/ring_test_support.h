// What the tests of rings share: disks of every kind, and calls that run to their end at once.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "semper/block/file_block_device.h"
#include "semper/block/local_companion.h"
#include "semper/block/memory_block_device.h"
#include "semper/env/random.h"
#include "semper/ring/ring.h"
#include "semper/testing/simulated_disk.h"
#include "semper/testing/simulated_run.h"

namespace semper::ring::testing {

// A disk that can be opened more than once.
struct TestDisk {
  std::function<std::unique_ptr<BlockDevice>()> open;
  // Its work is done by threads: simulated time has to wait for them.
  std::chrono::milliseconds wait_for_threads{0};
  // False: nothing is shared but sectors, as between machines.
  bool has_companion = true;
};

struct Kind {
  std::string name;
  Format format = Format::semper_1;
  std::function<TestDisk(std::uint64_t size)> make;

  friend std::ostream& operator<<(std::ostream& out, const Kind& kind) { return out << kind.name; }
};

inline TestDisk memory_disk(std::uint64_t size, std::uint32_t sector_size) {
  MemoryDisk disk({.size = size, .sector_size = sector_size});
  return {[disk] { return disk.open(); }};
}

// As another machine would see it: a device without a companion.
class LonelyDevice final : public BlockDevice {
 public:
  explicit LonelyDevice(std::unique_ptr<BlockDevice> device) : device_(std::move(device)) {}
  std::string_view name() const noexcept override { return device_->name(); }
  std::uint64_t size() const noexcept override { return device_->size(); }
  std::uint32_t sector_size() const noexcept override { return device_->sector_size(); }
  bool is_read_only() const noexcept override { return device_->is_read_only(); }
  std::string description() const override { return device_->description(); }
  Async<void> read(std::uint64_t offset, ReadParts parts) override {
    return device_->read(offset, std::move(parts));
  }
  Async<void> write(std::uint64_t offset, WriteParts parts) override {
    return device_->write(offset, std::move(parts));
  }
  Async<void> flush() override { return device_->flush(); }
  Async<void> close() override { return device_->close(); }

 private:
  std::unique_ptr<BlockDevice> device_;
};

inline TestDisk lonely_disk(std::uint64_t size) {
  MemoryDisk disk({.size = size, .sector_size = 512});
  return {[disk] { return std::make_unique<LonelyDevice>(disk.open()); },
          std::chrono::milliseconds(0), false};
}

// As another container or a loop device sees it: a companion that others of the disk do not share.
class ApartDevice final : public BlockDevice {
 public:
  ApartDevice(std::unique_ptr<BlockDevice> device, std::shared_ptr<LocalCompanion::Shared> memory)
      : device_(std::move(device)), companion_(std::move(memory), "apart") {}
  std::string_view name() const noexcept override { return device_->name(); }
  std::uint64_t size() const noexcept override { return device_->size(); }
  std::uint32_t sector_size() const noexcept override { return device_->sector_size(); }
  bool is_read_only() const noexcept override { return device_->is_read_only(); }
  std::string description() const override { return device_->description(); }
  DeviceCompanion* companion() noexcept override { return &companion_; }
  Async<void> read(std::uint64_t offset, ReadParts parts) override {
    return device_->read(offset, std::move(parts));
  }
  Async<void> write(std::uint64_t offset, WriteParts parts) override {
    return device_->write(offset, std::move(parts));
  }
  Async<void> flush() override { return device_->flush(); }
  Async<void> close() override {
    companion_.close();
    return device_->close();
  }

 private:
  std::unique_ptr<BlockDevice> device_;
  LocalCompanion companion_;
};

inline TestDisk simulated_disk(std::uint64_t size) {
  static semper::testing::SimulatedClock clock;
  static SeededRandom random(1);
  semper::testing::SimulatedDisk disk({.size = size, .sector_size = 512}, Env{&clock, &random});
  return {[disk] { return disk.open(); }};
}

// A file that goes with the last copy of the TestDisk.
inline TestDisk file_disk(std::uint64_t size, IoMode mode) {
  struct File {
    std::string path;
    ~File() { std::filesystem::remove(path); }
  };
  std::string name = ::testing::TempDir() + "ring_test_XXXXXX";
  const int fd = mkstemp(name.data());
  if (fd >= 0) ::close(fd);
  auto file = std::make_shared<File>(File{name});
  EXPECT_TRUE(create_block_file(name, {.size = size, .existing = Existing::replace}));
  return {[file, mode]() -> std::unique_ptr<BlockDevice> {
            auto device = open_block_device(file->path, {.mode = mode});
            if (!device) throw std::runtime_error(device.error().to_string());
            return std::move(*device);
          },
          std::chrono::milliseconds(60)};
}

// Every format on every device.
inline std::vector<Kind> all_kinds() {
  std::vector<Kind> kinds;
  for (const Format format : {Format::semper_1, Format::mirage_1_0}) {
    const std::string name = format == Format::semper_1 ? "semper" : "mirage";
    for (const std::uint32_t sector_size : {512u, 4096u}) {
      kinds.push_back(
          {name + "_memory_" + std::to_string(sector_size), format,
           [sector_size](std::uint64_t size) { return memory_disk(size, sector_size); }});
    }
    kinds.push_back({name + "_simulated", format, simulated_disk});
    kinds.push_back({name + "_other_machine", format, lonely_disk});
    for (const IoMode mode : {IoMode::automatic, IoMode::threads, IoMode::inline_blocking}) {
      const char* how = mode == IoMode::automatic ? "_file" : "_file_threads";
      kinds.push_back({name + (mode == IoMode::inline_blocking ? "_file_inline" : how), format,
                       [mode](std::uint64_t size) { return file_disk(size, mode); }});
    }
  }
  return kinds;
}

// A ring on a disk, its clock, and calls without co_await.
class World {
 public:
  explicit World(TestDisk disk, Format format = Format::semper_1)
      : disk_(std::move(disk)), format_(format) {}

  template <class T>
  T run(Task<T> task) {
    const semper::testing::SimulatedRunOptions run_options{.wait_for_threads =
                                                               disk_.wait_for_threads};
    return semper::testing::simulated_run(clock, std::move(task), run_options);
  }

  std::unique_ptr<BlockDevice> open() { return disk_.open(); }

  Status create(BlockDevice& device) {
    CreateOptions options;
    options.format = format_;
    options.env = env();
    return run(ring::create(device, options));
  }

  AttachOptions options(std::string client = "test") {
    AttachOptions options;
    options.queue = "queue";
    options.client = std::move(client);
    options.memory_bytes = std::size_t{1} << 20;
    options.env = env();
    // Handles that are dropped without detach() leave their mark on the disk.
    options.take_over = disk_.has_companion ? TakeOver::no : TakeOver::yes;
    return options;
  }

  bool has_companion() const { return disk_.has_companion; }

  Result<Producer> producer(BlockDevice& device) {
    return run(Producer::attach(device, options()));
  }
  Result<Consumer> consumer(BlockDevice& device) {
    return run(Consumer::attach(device, options()));
  }
  Env env() { return {&clock, &random}; }

  semper::testing::SimulatedClock clock;
  SeededRandom random{7};

 private:
  TestDisk disk_;
  Format format_;
};

// Everything that can be popped now.
inline std::vector<Bytes> all_items(World& world, Consumer& consumer) {
  std::vector<Bytes> items;
  const auto end = world.run(consumer.for_each([&](const ItemView& item) -> Status {
    items.emplace_back(item.bytes);
    return {};
  }));
  EXPECT_TRUE(end) << end.error().to_string();
  return items;
}

inline ErrorKind kind_of(const Status& status) {
  return status ? ErrorKind{} : status.error().kind();
}
template <class T>
ErrorKind kind_of(const Result<T>& result) {
  return result ? ErrorKind{} : result.error().kind();
}

}  // namespace semper::ring::testing

#define ASSERT_OK(expression)                            \
  do {                                                   \
    const auto& status_ = (expression);                  \
    ASSERT_TRUE(status_) << status_.error().to_string(); \
  } while (false)
#define EXPECT_OK(expression)                            \
  do {                                                   \
    const auto& status_ = (expression);                  \
    EXPECT_TRUE(status_) << status_.error().to_string(); \
  } while (false)
