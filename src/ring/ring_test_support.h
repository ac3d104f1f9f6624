// What the tests of rings share: disks of every kind, and calls that run to their end at once.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "semper/env/memory_block_device.h"
#include "semper/env/random.h"
#include "semper/ring/ring.h"
#include "semper/testing/simulated_run.h"

namespace semper::ring::testing {

// A disk that can be opened more than once.
struct TestDisk {
  std::function<std::unique_ptr<BlockDevice>()> open;
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

// Every format on every device.
inline std::vector<Kind> all_kinds() {
  std::vector<Kind> kinds;
  for (const Format format : {Format::semper_1, Format::mirage_1_0}) {
    const std::string name = format == Format::semper_1 ? "semper" : "mirage";
    for (const std::uint32_t sector_size : {512u, 4096u}) {
      kinds.push_back({name + "_memory_" + std::to_string(sector_size), format,
                       [sector_size](std::uint64_t size) { return memory_disk(size, sector_size); }});
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
    return semper::testing::simulated_run(clock, std::move(task));
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
    return options;
  }

  Result<Producer> producer(BlockDevice& device) { return run(Producer::attach(device, options())); }
  Result<Consumer> consumer(BlockDevice& device) { return run(Consumer::attach(device, options())); }
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

#define ASSERT_OK(expression)                                \
  do {                                                       \
    const auto& status_ = (expression);                      \
    ASSERT_TRUE(status_) << status_.error().to_string();     \
  } while (false)
#define EXPECT_OK(expression)                                \
  do {                                                       \
    const auto& status_ = (expression);                      \
    EXPECT_TRUE(status_) << status_.error().to_string();     \
  } while (false)
