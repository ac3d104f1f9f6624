// Any bytes as a ring: attaching, reading, inspecting and creating never crash, hang, or take more
// memory than they were allowed. A libFuzzer entry; src/ring/attach_fuzz_test.cc runs it on seeds and
// on mutations of them in every build.
//
//   clang++ -std=c++20 -fsanitize=fuzzer,address -Iinclude -Isrc -I. fuzz/ring_attach_fuzz.cc LIBRARIES
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "semper/base/assert.h"
#include "semper/block/memory_block_device.h"
#include "semper/ring/ring.h"
#include "semper/testing/simulated_run.h"

namespace semper::ring {

inline constexpr std::size_t kFuzzMaxBytes = std::size_t{256} << 10;
inline constexpr std::size_t kFuzzMemoryBytes = std::size_t{128} << 10;

inline Async<void> attach_and_use(BlockDevice& device, AttachOptions options) {
  auto consumer = co_await Consumer::attach(device, options);
  bool all_read = false;
  if (consumer) {
    std::uint64_t last = consumer->consumed().offset();
    std::function<Status(const ItemView&)> visit = [&](const ItemView& item) -> Status {
      SEMPER_ASSERT(item.after.offset() > last, "every item is behind the one before");
      SEMPER_ASSERT(item.bytes.size() <= consumer->capacity(), "an item is part of the ring");
      last = item.after.offset();
      return {};
    };
    const auto end = co_await consumer->for_each(visit);
    all_read = end.has_value();
    if (end) SEMPER_CO_TRY_STATUS(co_await consumer->advance(*end));
  }
  auto producer = co_await Producer::attach(device, options);
  if (producer) {
    const auto end = co_await producer->publish("after");
    if (end && all_read) SEMPER_ASSERT(co_await consumer->pop(), "what was published is there");
  }
  co_return Result<void>();
}

inline void fuzz_ring_image(BytesView image) {
  const std::size_t size = std::min(image.size(), kFuzzMaxBytes) / 512 * 512;
  if (size == 0) return;
  MemoryDisk disk({.size = size, .sector_size = 512});
  SEMPER_ASSERT(disk.overwrite(0, image.substr(0, size)), "a disk in memory takes an image");
  const auto device = disk.open();
  semper::testing::SimulatedClock clock;
  SeededRandom random(1);
  AttachOptions options;
  options.memory_bytes = kFuzzMemoryBytes;
  options.take_over = TakeOver::yes;
  options.env = {&clock, &random};
  const auto run = [&](auto task) {
    static_cast<void>(semper::testing::simulated_run(clock, std::move(task)));
  };
  run(inspect(*device));
  const auto ignore_item = [](const ItemView&) -> Status { return {}; };
  const auto ignore_damage = [](const Damage&) -> Status { return {}; };
  run(read_all(*device, ignore_item, ignore_damage, options));
  run(attach_and_use(*device, options));
  options.on_damage = OnDamage::skip;
  run(attach_and_use(*device, options));
  CreateOptions create_options;
  create_options.env = options.env;
  run(create(*device, create_options));
}

}  // namespace semper::ring

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  semper::ring::fuzz_ring_image({reinterpret_cast<const char*>(data), size});
  return 0;
}
