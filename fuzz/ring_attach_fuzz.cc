// Any bytes as a ring: attaching, reading, inspecting and creating never crash, hang, or take more
// memory than they were allowed. src/ring/attach_fuzz_test.cc runs it on more rings.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fuzz/fuzz.h"
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

namespace semper::fuzz {

// A ring of each format in the middle of its life.
std::vector<Bytes> seeds() {
  std::vector<Bytes> made;
  for (const auto format : {ring::Format::semper_1, ring::Format::mirage_1_0}) {
    constexpr std::size_t kBytes = std::size_t{24} << 12;
    MemoryDisk disk({.size = kBytes, .sector_size = 512});
    const auto device = disk.open();
    semper::testing::SimulatedClock clock;
    SeededRandom random(1);
    const auto live = [&]() -> Async<void> {
      ring::CreateOptions create;
      create.format = format;
      create.env = {&clock, &random};
      SEMPER_CO_TRY_STATUS(co_await ring::create(*device, create));
      ring::AttachOptions options;
      options.env = create.env;
      SEMPER_CO_TRY(auto producer, co_await ring::Producer::attach(*device, options));
      SEMPER_CO_TRY(auto consumer, co_await ring::Consumer::attach(*device, options));
      for (std::size_t i = 0; i < 20; ++i) {
        SEMPER_CO_TRY_STATUS(co_await producer.publish(Bytes(i * 37 % 700, 'a')));
        if (i % 3 != 0) continue;
        SEMPER_CO_TRY(const auto item, co_await consumer.pop());
        SEMPER_CO_TRY_STATUS(co_await consumer.advance(item.after));
      }
      co_return Status{};
    };
    const Status lived = semper::testing::simulated_run(clock, live());
    SEMPER_ASSERT(lived.has_value(), "a ring on a disk in memory");
    made.push_back(disk.contents(0, kBytes));
  }
  made.emplace_back(Bytes("no ring") + Bytes(1017, '\n'));
  return made;
}

void check(BytesView input) {
  ring::fuzz_ring_image(input);
}

}  // namespace semper::fuzz
