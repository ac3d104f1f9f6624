#include "block_device_contract_test_support.h"

#include <cstring>

#include "file_worlds_test_support.h"
#include "semper/block/memory_block_device.h"
#include "semper/env/random.h"
#include "semper/testing/simulated_disk.h"

namespace semper::testing {
namespace {

class MemoryWorld final : public DeviceWorld {
 public:
  explicit MemoryWorld(std::uint32_t sector_size)
      : disk_({.size = kContractDiskSize, .sector_size = sector_size}) {}
  Result<std::unique_ptr<BlockDevice>> open(Access access) override {
    return disk_.open({.read_only = access == Access::read_only});
  }

 private:
  MemoryDisk disk_;
};

class SimulatedWorld final : public DeviceWorld {
 public:
  explicit SimulatedWorld(std::uint32_t sector_size)
      : disk_({.size = kContractDiskSize, .sector_size = sector_size}, Env{}) {
    DiskFaults slow;
    slow.delay = 0.1;
    slow.delay_by = std::chrono::milliseconds(1);
    disk_.set_faults(slow);
  }
  Result<std::unique_ptr<BlockDevice>> open(Access access) override {
    return disk_.open({.read_only = access == Access::read_only});
  }

 private:
  SimulatedDisk disk_;
};

DeviceKind file_kind(const std::string& name, FileDeviceOptions options) {
  return {name, [options] { return std::make_unique<FileWorld>(options); }};
}

DeviceKind loop_kind(const std::string& name, std::uint32_t sector, FileDeviceOptions options) {
  return {name, [=] { return LoopWorld::make(sector, options); }};
}

}  // namespace

std::vector<DeviceKind> all_device_kinds() {
  const auto memory = [](std::uint32_t sector) {
    return [sector] { return std::make_unique<MemoryWorld>(sector); };
  };
  const auto simulated = [](std::uint32_t sector) {
    return [sector] { return std::make_unique<SimulatedWorld>(sector); };
  };
  return {
      {"memory_512", memory(512)},
      {"memory_4096", memory(4096)},
      {"simulated_512", simulated(512)},
      {"simulated_4096", simulated(4096)},
      file_kind("file_io_uring", {.mode = IoMode::automatic}),
      file_kind("file_threads", {.mode = IoMode::threads}),
      file_kind("file_inline", {.mode = IoMode::inline_blocking}),
      file_kind("file_buffered_io_uring", {.cache = DeviceCache::page_cache}),
      file_kind("file_buffered_threads",
                {.mode = IoMode::threads, .cache = DeviceCache::page_cache}),
      file_kind("file_sectors_of_4096", {.sector_size = 4096}),
      loop_kind("loop_512", 512, {}),
      loop_kind("loop_4096", 4096, {}),
      loop_kind("loop_4096_threads", 4096, {.mode = IoMode::threads}),
  };
}

AlignedBuffer pattern(std::size_t length, std::uint64_t seed) {
  AlignedBuffer buffer(length);
  SeededRandom random(seed);
  for (std::size_t at = 0; at + sizeof(std::uint64_t) <= length; at += sizeof(std::uint64_t)) {
    const std::uint64_t bits = random.next();
    std::memcpy(buffer.data() + at, &bits, sizeof bits);
  }
  return buffer;
}

bool same_bytes(const AlignedBuffer& one, const AlignedBuffer& other) {
  return one.view() == other.view();
}

}  // namespace semper::testing
