// Journal: makes work durable first and does it afterwards, at least once and in order, whatever
// happens to the process in between.
//
// What for: accepting work faster or more reliably than it can be done: the disk takes it, the
// caller continues, and `perform` does it. When not: work that must not be done twice (make it
// idempotent, or drain into a durable server, semper/journal_drain.h), and work of several
// processes (give each its own journal).
//
//   auto perform = [&](const std::vector<ring::Item>& batch) -> Async<void> {
//     for (const auto& item : batch) SEMPER_CO_TRY_STATUS(co_await send(item.bytes));
//     co_return Status{};
//   };
//   SEMPER_CO_TRY(auto journal, co_await ring::Journal::start(device, perform, options));
//   SEMPER_CO_TRY(auto written, co_await journal.push("an operation"));   // durable from here on
//   SEMPER_CO_TRY_STATUS(co_await written.sync());                        // performed
//   SEMPER_CO_TRY_STATUS(co_await journal.shutdown());
//
// The journal owns a ring on the device, both sides of it, and one coroutine that performs. Items
// that a crash left in the ring are performed first, before anything new. If perform returns an
// error or throws, it is repeated after the retry interval, for as long as it takes, with fewer
// items each time, until the failing item is alone. By then the items before it are done and
// removed, and no later item overtakes it. An item is removed after perform has succeeded, while
// the next ones are performed. After a crash before the removal is complete, that item and those
// behind it are performed again.
//
// A journal that is destroyed without shutdown() stops like a killed process: at once, without
// waiting for anything. The next start performs what it holds. A perform that is in progress runs
// to its end, which is not recorded, so anything it uses must live until then, or until its loop is
// destroyed.
//
// Bounds: the ring's capacity (when it is full, push waits, in the order of the calls whatever
// their sizes, and the existing items are performed at once), AttachOptions::memory_bytes, and
// AttachOptions::max_waiting calls of push that wait for room.
// Ownership: device, clock and random outlive the journal and its operations. Threads: push and the
// waiters from any; perform runs on the executor of start().
// Source of the idea: shared-block-ring's Journal (Citrix, MirageOS); unlike there, an error that
// perform returns is retried like an exception, and steady pushing does not delay performing.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "semper/block/block_device.h"
#include "semper/env/asio.h"
#include "semper/ring/consumer.h"
#include "semper/ring/internal/cores.h"
#include "semper/ring/item.h"
#include "semper/ring/journal_options.h"
#include "semper/ring/options.h"
#include "semper/ring/producer.h"

namespace semper::ring {

class Journal {
 public:
  // Does the work of these items, in this order; success removes them. After an error, an exception
  // or a crash, it is called again starting with the same item, with fewer or more items behind it.
  using Perform = std::function<Async<void>(const std::vector<Item>&)>;

  // One pushed operation. Copies refer to the same operation; they may outlive the journal.
  class Waiter {
   public:
    // Ends the flush interval now. Does not wait.
    void flush() const;

    // Waits until the operation has been performed, alone or with others. Errors: the device's
    // error that ended the journal, or `closed` if the journal ended first: the operation is in the
    // ring, and the next start will perform it. timeout: the deadline passed first.
    Async<void> sync(MonotonicTime deadline = kNever) const;

    // Item::after of this operation.
    Position position() const noexcept { return position_; }

   private:
    friend class Journal;
    Waiter(std::shared_ptr<internal::JournalCore> core, Position position)
        : core_(std::move(core)), position_(position) {}
    std::shared_ptr<internal::JournalCore> core_;
    Position position_;
  };

  // Opens the ring on the device, or creates one on a blank device, and begins to perform its items
  // without waiting for them (see replayed). Errors: those of ring::create, Producer::attach and
  // Consumer::attach; on an error, nothing was performed.
  static Async<Journal> start(BlockDevice& device, Perform perform, JournalOptions options);

  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;
  ~Journal();

  // Waits until everything that start() found in the ring has been performed. Errors: those of
  // Waiter::sync.
  Async<void> replayed(MonotonicTime deadline = kNever);

  // Writes the operation to the journal. If the ring is full, it waits for room, and everything in
  // the ring is performed at once. With a deadline, it gives up then (kNoWait: at once). Durable on
  // success: the operation, which will be performed at least once before any later one. On an
  // error: it is not in the journal, but if the error is the device's, it may be. If it never
  // returns: it may be in the journal.
  // Errors: retry or timeout (full until the deadline, or max_waiting calls wait: try again later),
  // invalid_argument (can never fit into the ring), exhausted (larger than its memory allows; or
  // the disk below the device is full, as status() also says: make room and push again), closed
  // (shut down), and the device's error that ended the journal (start a new one when the cause is
  // gone).
  Async<Waiter> push(BytesView operation, MonotonicTime deadline = kNever);

  // Tries the waiting items once; items that fail or cannot be read stay for the next start. Then
  // frees everything. Later pushes get `closed`, and so do waiters whose operation was not
  // performed. It may be called again, even concurrently: every call returns when the journal has
  // ended, with the same outcome: success, or the device's error that ended the journal before.
  // Additional errors: timeout (a perform or the disk was busy until the deadline) and cancelled.
  // The shutdown then continues: call again to wait for it, or destroy the journal, which waits for
  // nothing.
  Async<void> shutdown(MonotonicTime deadline = kNever);
  // The same under the name that other handles have for it.
  Async<void> close(MonotonicTime deadline = kNever) { return shutdown(deadline); }

  // The device's error that ended the journal; or `exhausted` after a write that found the disk
  // full, until another write finds room; otherwise success.
  Status status() const;
  JournalStatistics statistics() const;
  // See Producer::identity.
  std::string identity() const;

 private:
  explicit Journal(std::shared_ptr<internal::JournalCore> core);

  std::shared_ptr<internal::JournalCore> core_;
};

}  // namespace semper::ring
