// Consumer: the side of a ring that takes items out.
//
// What for: see producer.h. When not: several consumers at once.
//
//   SEMPER_CO_TRY(ring::Consumer consumer, co_await ring::Consumer::attach(device, options));
//   for (;;) {
//     auto items = co_await consumer.pop_many(from, limits, kNever);  // waits for the first
//     if (!items) co_return semper::fail(items.error());
//     for (const ring::Item& item : *items) handle(item.bytes);
//     SEMPER_CO_TRY_STATUS(co_await consumer.advance(items->back().after));
//   }
//
// pop does not remove: until advance(), each pop without `from` returns the same item, even after a
// crash. Items are returned only once they are durable.
// Ownership and threads: as in producer.h. Operations run one after another, in the order of the
// calls.
//
// Errors of the calls below, and the next move:
//   retry             no item now (pop), or an acknowledgement is due (suspend, resume): later
//   timeout           the deadline passed first
//   invalid_argument  a position that this ring never returned
//   corrupt           the record at the position in the message differs from what was written. The
//                     handle stays usable: pop from resync() to skip it, or copy the device first
//   exhausted         an item larger than half of memory_bytes: attach with more
//   closed            after detach()
//   cancelled         the waiting coroutine was cancelled. A write that had begun ends first, and
//                     its result is returned; the handle stays usable
//   io, permission, … the device failed. After a failed write or flush the handle refuses
//                     everything with the same error: detach, and attach again
//   conflict          another consumer took over (semper-1): stop
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "semper/block/block_device.h"
#include "semper/env/asio.h"
#include "semper/ring/internal/cores.h"
#include "semper/ring/item.h"
#include "semper/ring/options.h"
#include "semper/ring/position.h"

namespace semper::ring {

class Consumer {
 public:
  // Opens a ring. Errors and durability: as for Producer::attach.
  static Async<Consumer> attach(BlockDevice& device, AttachOptions options);

  Consumer(Consumer&&) noexcept;
  Consumer& operator=(Consumer&&) noexcept;
  ~Consumer();

  // As Producer::detach. Does not change the items.
  Async<void> detach();

  // What the producer has last acknowledged.
  Async<State> state();

  Async<DebugInfo> debug_info();

  // Asks the producer to pause, without waiting for its acknowledgement (see state()). You may ask
  // again. Durable on success: the request. Error: retry (an earlier resume is not yet
  // acknowledged).
  Async<void> suspend();

  // Lets the producer continue; does nothing if it is not paused. Durable on success: the request.
  // Error: retry (an earlier suspend is not yet acknowledged).
  Async<void> resume();

  // The item at `from` (the `after` of an earlier item). Default: the first not yet removed.
  // Changes nothing. With a deadline, waits for an item.
  Async<Item> pop(std::optional<Position> from = {}, MonotonicTime deadline = kNoWait);

  // As many items as are available, within the limits: at least one, otherwise the error. Items
  // that must still be read from the device may come with the next call.
  Async<std::vector<Item>> pop_many(std::optional<Position> from = {}, PopLimits limits = {},
                                    MonotonicTime deadline = kNoWait);

  // Calls `visit` with every item that is available now, without copying; returns where it ended.
  // If `visit` returns an error, that ends the call and is returned. `visit` must not call this
  // consumer.
  Async<Position> for_each(std::function<Status(const ItemView&)> visit,
                           std::optional<Position> from = {});

  // Folds `f(item, accumulator)` over every item that is available now: (where it ended, the
  // result).
  template <class T, class F>
  Async<std::pair<Position, T>> fold(F f, T init, std::optional<Position> from = {}) {
    T accumulator = std::move(init);
    std::function<Status(const ItemView&)> visit = [&](const ItemView& item) -> Status {
      accumulator = f(item.bytes, std::move(accumulator));
      return {};
    };
    SEMPER_CO_TRY(Position end, co_await for_each(std::move(visit), from));
    co_return std::pair<Position, T>(end, std::move(accumulator));
  }

  // Removes everything before `position`, which must come from pop or from the producer's publish
  // or push (others are refused). Removing again is fine. Durable on success: the removal. On an
  // error, or if it never returns: removed or not.
  Async<void> advance(Position position);

  // The position of the next valid record after the damaged one at `damaged`, or the end of the
  // visible items if there is none. Changes nothing: pop from there, and advance to remove both.
  Async<Position> resync(Position damaged);

  // Damage that OnDamage::skip has skipped: the latest 64 places.
  std::vector<Damage> damage() const;

  // Everything before it is removed.
  Position consumed() const noexcept;
  Format format() const noexcept;
  std::uint64_t capacity() const noexcept;
  // As Producer::identity.
  std::string identity() const;

 private:
  friend class internal::JournalCore;
  explicit Consumer(std::shared_ptr<internal::ConsumerCore> core);

  std::shared_ptr<internal::ConsumerCore> core_;
};

}  // namespace semper::ring
