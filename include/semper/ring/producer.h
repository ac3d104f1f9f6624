// Producer: the side of a ring that puts items in.
//
// What for: handing work to another process (or to oneself after a crash) through a block device.
// When not: several producers at once (give each its ring, or use semper::server).
//
//   SEMPER_CO_TRY(ring::Producer producer, co_await ring::Producer::attach(device, options));
//   SEMPER_CO_TRY_STATUS(co_await producer.publish("an item"));          // durable and visible
//
//   SEMPER_CO_TRY(ring::Position end, co_await producer.push(items));     // durable, not visible
//   SEMPER_CO_TRY_STATUS(co_await producer.advance(end));                 // visible
//
// Calls at the same time are merged: while one write and flush is under way, the next ones gather,
// and each call returns when its own items are durable. Calls are served in the order in which they
// were made. Items of one call stay together.
// Ownership: the device must outlive the handle and its operations; the clock and the random too.
// Items are borrowed until the call returns. A handle that is destroyed without detach() frees all
// it holds, as if its process had died.
// Threads: any number of calls from any thread; each resumes on its caller's executor.
//
// Errors of the calls below, and the next move:
//   retry             no room, max_waiting calls wait, or items of an earlier kind are in the way:
//                     call again when the
//                     consumer has advanced, or give a deadline. Nothing was written
//   suspended         the consumer asked for a pause (see state()): call again when it has resumed
//   timeout           the deadline came first. Nothing was written
//   invalid_argument  an item that can never fit, or a position that this ring did not give out
//   exhausted         an item larger than a quarter of memory_bytes, or kMaxUnexposedPushes pushes
//                     are not exposed: advance first
//   closed            after detach()
//   cancelled         the waiting coroutine was cancelled: its items may or may not be in the ring. The
//                     handle goes on, and so does what had begun
//   io, permission, … the device failed. The outcome of the call is unknown, the handle refuses
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
  // Opens a ring that ring::create made, of whichever format, and puts right what a crash left.
  // What an earlier producer pushed and did not expose is still there: advance() with the position
  // that its push returned exposes it, the first push or publish drops it (semper-1; mirage-1.0
  // always drops it).
  // Durable on success: that this handle owns the producer's side (semper-1). On error, or where it
  // never returns: the items in the ring are the same.
  // Errors: not_found (no ring there: create one), conflict (another producer is attached: wait for
  // its end, or TakeOver::yes where a dead machine is in the way; found out at once where it is on this
  // machine, in 5 s where it may be elsewhere), corrupt (neither copy of
  // something can be read, the message says what: inspect with `semper ring verify`), permission
  // (read-only device), invalid_argument (options), and the device's.
  static Async<Producer> attach(BlockDevice& device, AttachOptions options);

  Producer(Producer&&) noexcept;
  Producer& operator=(Producer&&) noexcept;
  ~Producer();

  // Waits for what is under way, records the final position and frees everything. Later use is
  // `closed`. Idempotent; one that was cancelled goes on, frees the role when the last write has ended,
  // and can be called again to wait for that. Durable on success: everything acknowledged, exposed or
  // not, as before.
  Async<void> detach();

  // Reads what the consumer asks for, acknowledges it durably, and says what it is. Attaching does
  // that once (semper-1), and every push looks by itself, where the consumer is on another machine
  // at most every poll.maximum. A producer that has nothing to push calls it from time to time.
  Async<State> state();

  Async<DebugInfo> debug_info();

  // Appends the items without exposing them; they are exposed together with whatever is behind
  // them, by advance() or publish(). With a deadline: waits for room and for the end of a pause.
  // Durable on success: the items, at the position returned (the end of the last one); a consumer
  // sees nothing of them. On error: nothing, unless the handle is dead from then on. Never returns:
  // they are not exposed, as a crash drops what is not.
  Async<Position> push(ItemList items, MonotonicTime deadline = kNoWait);

  // Exposes everything up to `position`; one that is exposed already is fine.
  // Durable on success: that. On error, or where it never returns: exposed or not.
  Async<void> advance(Position position);

  // push and advance in one, with one flush (mirage-1.0: two). Exposes also what was pushed before.
  // Returns the end of this call's last item, Item::after of whoever pops it.
  // Durable on success: the items, exposed. On error, or where it never returns: all items of this
  // call or none are exposed (mirage-1.0: the same).
  Async<Position> publish(ItemList items, MonotonicTime deadline = kNoWait);

  // Everything before it is visible to the consumer.
  Position exposed() const noexcept;
  Format format() const noexcept;
  // Bytes of data area; and the largest item that can ever fit into this ring with these options.
  std::uint64_t capacity() const noexcept;
  std::uint64_t max_item_bytes() const noexcept;
  // What tells this ring from every other, for idempotency keys: 32 hexadecimal digits (semper-1),
  // empty in mirage-1.0, which has none.
  std::string identity() const;

 private:
  friend class internal::JournalCore;
  explicit Producer(std::shared_ptr<internal::ProducerCore> core);

  std::shared_ptr<internal::ProducerCore> core_;
};

}  // namespace semper::ring
