// The examples of include/semper/ring and include/semper/block, as they stand in its headers.
// clang-format off
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "semper/base/log.h"
#include "semper/block/block_device.h"
#include "semper/block/device_contents.h"
#include "semper/block/file_block_device.h"
#include "semper/block/local_companion.h"
#include "semper/block/memory_block_device.h"
#include "semper/ring/consumer.h"
#include "semper/ring/journal.h"
#include "semper/ring/options.h"
#include "semper/ring/producer.h"
#include "semper/ring/ring.h"

using namespace semper;

Async<void> written(BlockDevice& device) {
  AlignedBuffer page(4096);
  SEMPER_CO_TRY_STATUS(co_await device.write(0, page.span()));
  SEMPER_CO_TRY_STATUS(co_await device.flush());               // now it survives a power loss
  co_return Status{};
}

Async<void> looked_at(std::shared_ptr<BlockDevice> device) {
  const DeviceContentsOptions options;
  SEMPER_CO_TRY(const std::string there, co_await device_contents(*device, options));
  if (!there.empty()) co_return fail(ErrorKind::permission, "the device holds " + there);
  co_return Status{};
}

Status files() {
  SEMPER_TRY_STATUS(create_block_file("queue.ring", {.size = 64 << 20}));
  SEMPER_TRY(auto device, open_block_device("queue.ring"));
  log_info("queue", device->description());         // "io_uring, O_DIRECT"
  return {};
}

void companions() {
  auto shared = std::make_shared<LocalCompanion::Shared>();     // one per disk
  LocalCompanion companion(shared, "queue");                    // one per handle
}

void memory() {
  MemoryBlockDevice device({.size = 1 << 20});

  MemoryDisk disk({.size = 1 << 20});         // two handles on one disk
  auto producer = disk.open();
  auto consumer = disk.open({.read_only = true});
}

void handle(const Bytes& bytes);
Async<void> consumed(BlockDevice& device, ring::AttachOptions options,
                     std::optional<ring::Position> from, ring::PopLimits limits) {
  SEMPER_CO_TRY(ring::Consumer consumer, co_await ring::Consumer::attach(device, options));
  for (;;) {
    auto items = co_await consumer.pop_many(from, limits, kNever);  // waits for the first
    if (!items) co_return semper::fail(items.error());
    for (const ring::Item& item : *items) handle(item.bytes);
    SEMPER_CO_TRY_STATUS(co_await consumer.advance(items->back().after));
  }
}

Async<void> send(const Bytes& bytes);
Async<void> journals(BlockDevice& device, ring::JournalOptions options) {
  auto perform = [&](const std::vector<ring::Item>& batch) -> Async<void> {
    for (const auto& item : batch) SEMPER_CO_TRY_STATUS(co_await send(item.bytes));
    co_return Status{};
  };
  SEMPER_CO_TRY(auto journal, co_await ring::Journal::start(device, perform, options));
  SEMPER_CO_TRY(auto written, co_await journal.push("an operation"));   // durable from here on
  SEMPER_CO_TRY_STATUS(co_await written.sync());                        // performed
  SEMPER_CO_TRY_STATUS(co_await journal.shutdown());
  co_return Status{};
}

Async<void> named(BlockDevice& device) {
  ring::AttachOptions options;
  options.queue = "mail";
  options.client = "outbox of host 3";
  auto producer = co_await ring::Producer::attach(device, options);
  co_return Status{};
}

Async<void> positions(ring::Producer& producer) {
  SEMPER_CO_TRY(ring::Position end, co_await producer.push("an item"));
  SEMPER_CO_TRY_STATUS(co_await producer.advance(end));
  co_return Status{};
}

Async<void> produced(BlockDevice& device, ring::AttachOptions options, std::vector<Bytes> items) {
  SEMPER_CO_TRY(ring::Producer producer, co_await ring::Producer::attach(device, options));
  SEMPER_CO_TRY_STATUS(co_await producer.publish("an item"));          // durable and visible

  SEMPER_CO_TRY(ring::Position end, co_await producer.push("another"));  // durable
  SEMPER_CO_TRY_STATUS(co_await producer.advance(end));                 // visible
  co_return Status{};
}

Async<void> rings(BlockDevice& device) {
  ring::CreateOptions as_usual;     // options have names: g++ 12 destroys {} in a co_await twice
  ring::AttachOptions options;
  SEMPER_CO_TRY_STATUS(co_await ring::create(device, as_usual));
  SEMPER_CO_TRY(auto producer, co_await ring::Producer::attach(device, options));
  SEMPER_CO_TRY(auto consumer, co_await ring::Consumer::attach(device, options));
  co_return Status{};
}
