// sync::Producer and sync::Consumer: the two sides of a ring, for threads.
//
// What for: a threaded program that hands work to another one through a file or a disk. When not:
// many rings or deep concurrent batches (semper/ring/ring.h).
//
//   SEMPER_TRY_STATUS(semper::create_block_file("queue.ring", {.size = 64 << 20}));
//   SEMPER_TRY_STATUS(semper::sync::create_ring("queue.ring"));
//   SEMPER_TRY(auto producer, semper::sync::Producer::attach("queue.ring"));
//   SEMPER_TRY_STATUS(producer.publish("an item"));
//   SEMPER_TRY(auto consumer, semper::sync::Consumer::attach("queue.ring"));
//   SEMPER_TRY(const auto item, consumer.pop(5s));
//   SEMPER_TRY_STATUS(consumer.advance(item.after));
//
// Durability, errors and limits: as for semper::ring. A `timeout` is how long a call waits for room
// or for an item: zero, the default, does not wait (`retry`, `suspended`). If the device does not
// answer for kAnswerTime after that, the error is `outcome_unknown`; the handle stays usable, and
// the operation may still succeed. Items are copied, so they outlive the caller.
//
// Ownership: a handle owns its device, or shares the one it was given. If it is destroyed without
// detach(), it frees everything it holds, as if its process had died. Threads and forks: see
// semper/sync/wait.h; calls of one handle from several threads run one after another, in the order
// of the calls.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "semper/block/file_block_device.h"
#include "semper/ring/ring.h"
#include "semper/sync/wait.h"

namespace semper::sync {

// As ring::create.
Status create_ring(std::shared_ptr<BlockDevice> device, ring::CreateOptions options = {});
Status create_ring(const std::string& path, ring::CreateOptions options = {});

class Producer {
 public:
  static Result<Producer> attach(std::shared_ptr<BlockDevice> device,
                                 ring::AttachOptions options = {});
  // Additional errors: those of open_block_device.
  static Result<Producer> attach(const std::string& path, ring::AttachOptions options = {});

  Result<ring::Position> push(BytesView item, Duration timeout = Duration::zero());
  Result<ring::Position> push(std::vector<Bytes> items, Duration timeout = Duration::zero());
  Result<ring::Position> publish(BytesView item, Duration timeout = Duration::zero());
  Result<ring::Position> publish(std::vector<Bytes> items, Duration timeout = Duration::zero());
  Status advance(ring::Position position, Duration timeout = kForever);
  Result<ring::State> state(Duration timeout = kForever);
  Result<ring::DebugInfo> debug_info(Duration timeout = kForever);
  Status detach(Duration timeout = kForever);

  ring::Position exposed() const;
  std::uint64_t capacity() const;
  std::uint64_t max_item_bytes() const;
  std::string identity() const;

  struct Handle;

 private:
  explicit Producer(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}
  std::shared_ptr<Handle> handle_;
};

class Consumer {
 public:
  static Result<Consumer> attach(std::shared_ptr<BlockDevice> device,
                                 ring::AttachOptions options = {});
  static Result<Consumer> attach(const std::string& path, ring::AttachOptions options = {});

  // The first item that is not removed, or the one at `from`.
  Result<ring::Item> pop(Duration timeout = Duration::zero(),
                         std::optional<ring::Position> from = {});
  Result<std::vector<ring::Item>> pop_many(Duration timeout = Duration::zero(),
                                           std::optional<ring::Position> from = {},
                                           ring::PopLimits limits = {});
  Status advance(ring::Position position, Duration timeout = kForever);
  Result<ring::Position> resync(ring::Position damaged, Duration timeout = kForever);
  Status suspend(Duration timeout = kForever);
  Status resume(Duration timeout = kForever);
  Result<ring::State> state(Duration timeout = kForever);
  Result<ring::DebugInfo> debug_info(Duration timeout = kForever);
  Status detach(Duration timeout = kForever);

  std::vector<ring::Damage> damage() const;
  ring::Position consumed() const;
  std::uint64_t capacity() const;
  std::string identity() const;

  struct Handle;

 private:
  explicit Consumer(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}
  std::shared_ptr<Handle> handle_;
};

}  // namespace semper::sync
