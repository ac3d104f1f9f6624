// Producer: the side of a ring that puts items in.
//
// What for: handing work to another process (or to this one after a crash) through a block device.
// When not: several producers at once (give each its own ring, or use semper::server).
//
//   SEMPER_CO_TRY(ring::Producer producer, co_await ring::Producer::attach(device, options));
//   SEMPER_CO_TRY_STATUS(co_await producer.publish("an item"));          // durable and visible
//
//   SEMPER_CO_TRY(ring::Position end, co_await producer.push("another"));  // durable
//   SEMPER_CO_TRY_STATUS(co_await producer.advance(end));                 // visible
//
// Concurrent calls are merged: while one write and flush is in progress, the next ones gather, and
// each call returns when its own items are durable. Calls are served in the order in which they
// were made. Items of one call stay together.
// Ownership: the device must outlive the handle and its operations, and so must the clock and the
// random. Items are borrowed until the call returns. A handle that is destroyed without detach()
// frees everything it holds, as if its process had died.
// Threads: any number of calls from any thread; each resumes on its caller's executor.
//
// Errors of the calls below, and the next move:
//   retry             no room, max_waiting calls wait, or items of an earlier kind are in the way:
//                     call again when the consumer has advanced, or set a deadline. Nothing was
//                     written
//   suspended         the consumer asked for a pause (see state()): call again when it has resumed
//   timeout           the deadline passed first. Nothing was written
//   invalid_argument  an item that can never fit, or a position that this ring never returned
//   exhausted         an item larger than a quarter of memory_bytes, or kMaxUnexposedPushes pushes
//                     are not visible yet: advance first
//   closed            after detach()
//   cancelled         the waiting coroutine was cancelled: its items may or may not be in the ring.
//                     The handle stays usable, and work that had begun continues
//   io, permission, … the device failed. The outcome of the call is unknown, and the handle refuses
//                     everything after it with the same error: detach, and attach again
//   conflict          another producer took over (semper-1): stop, it owns the ring now
#pragma once

#include <memory>

#include "semper/block/block_device.h"
#include "semper/env/asio.h"
#include "semper/ring/internal/cores.h"
#include "semper/ring/options.h"
#include "semper/ring/position.h"

namespace semper::ring {

class Producer {
 public:
  // Opens a ring that ring::create made, in either format, and repairs what a crash left. Items
  // that an earlier producer pushed but did not make visible are still there: advance() with the
  // position that its push returned makes them visible; the first push or publish drops them
  // (semper-1; mirage-1.0 always drops them).
  // Durable on success: this handle owns the producer's side (semper-1). On an error, or if it
  // never returns, the items in the ring are unchanged.
  // Errors: not_found (no ring there: create one), conflict (another producer is attached: wait
  // until it ends, or use TakeOver::yes if its machine is dead; detected at once if it is on this
  // machine, within 5 s if it may be elsewhere), corrupt (neither copy of something can be read;
  // the message says what: inspect with `semper ring verify`), permission (read-only device),
  // invalid_argument (options), and the device's errors.
  static Async<Producer> attach(BlockDevice& device, AttachOptions options);

  Producer(Producer&&) noexcept;
  Producer& operator=(Producer&&) noexcept;
  ~Producer();

  // Waits for operations in progress, records the final position and frees everything. Later use
  // gives `closed`. Idempotent. A cancelled detach continues, and releases the role when the last
  // write has ended; call it again to wait for that. Durable on success: everything acknowledged,
  // visible or not, as before.
  Async<void> detach();

  // Reads the consumer's request, acknowledges it durably, and returns the resulting state.
  // Attaching does this once (semper-1), and every push checks by itself (if the consumer is on
  // another machine, at most every poll.maximum). A producer that has nothing to push should call
  // it from time to time.
  Async<State> state();

  Async<DebugInfo> debug_info();

  // Appends the items without making them visible; advance() or publish() makes them visible,
  // together with the items behind them. With a deadline, waits for room and for the end of a
  // pause. Durable on success: the items, at the returned position (the end of the last one); a
  // consumer does not see them. On an error: nothing, unless the handle is dead from then on. If it
  // never returns: they are not visible, because a crash drops such items.
  Async<Position> push(ItemList items, MonotonicTime deadline = kNoWait);

  // Makes everything up to `position` visible; doing so again is fine.
  // Durable on success: the visibility. On an error, or if it never returns: visible or not.
  Async<void> advance(Position position);

  // push and advance in one call, with one flush (mirage-1.0: two). Also makes earlier pushes
  // visible. Returns the end of this call's last item, which is Item::after for the consumer.
  // Durable on success: the items, and their visibility. On an error, or if it never returns: all
  // items of this call are visible, or none (also in mirage-1.0).
  Async<Position> publish(ItemList items, MonotonicTime deadline = kNoWait);

  // Everything before it is visible to the consumer.
  Position exposed() const noexcept;
  Format format() const noexcept;
  // The size of the data area in bytes, and the largest item that can fit into this ring with these
  // options.
  std::uint64_t capacity() const noexcept;
  std::uint64_t max_item_bytes() const noexcept;
  // Identifies this ring, for idempotency keys: 32 hexadecimal digits (semper-1); empty in
  // mirage-1.0, which has no identity.
  std::string identity() const;

 private:
  friend class internal::JournalCore;
  explicit Producer(std::shared_ptr<internal::ProducerCore> core);

  std::shared_ptr<internal::ProducerCore> core_;
};

}  // namespace semper::ring
