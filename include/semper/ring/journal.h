// Journal: work that is written down first and done afterwards, at least once, in order, whatever
// happens to the process in between.
//
// What for: accepting work faster, or more surely, than it can be done: the disk takes it, the
// caller goes on, and `perform` does it. When not: work that must not be done twice (make it
// idempotent, or drain into a durable server, semper/journal_drain.h), and work of several
// processes (each has its own journal).
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
// The journal owns a ring on the device, both sides of it, and one coroutine that performs. What a
// crash left in the ring is performed first, before anything new. A perform that returns an error,
// or throws, is repeated after the retry interval, for as long as it takes, with fewer items each
// time, until the one that fails is alone: those before it are done and gone by then; no later item
// overtakes it. An item is removed after a perform that has succeeded, while the next ones are
// performed; a crash before the end of that performs it again, and those behind it.
//
// Destroyed without shutdown() it ends as a killed process does: at once, without waiting for
// anything. What it holds is performed by the next start. A perform that is under way goes on to its
// end, which is not recorded; so what it uses must live until then, or until its loop is destroyed.
//
// Bounds: the ring's capacity (then push waits, in the order of the calls whatever their sizes, and
// what is there is performed at once), AttachOptions::memory_bytes, and AttachOptions::max_waiting
// calls of push that wait for room.
// Ownership: device, clock and random outlive the journal and its operations. Threads: push and the
// waiters from any; perform runs on the executor of start().
// Source of the idea: shared-block-ring's Journal (Citrix, MirageOS); unlike there, an error that
// perform returns is retried as an exception is, and pushing steadily does not put performing off.
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
  // Does the work of these items, in this order; success removes them. Called again from the same
  // item on, with fewer or more behind it, after an error, an exception or a crash.
  using Perform = std::function<Async<void>(const std::vector<Item>&)>;

  // One pushed operation. Copies are the same; may outlive the journal.
  class Waiter {
   public:
    // Ends the flush interval now. Does not wait.
    void flush() const;

    // Waits until the operation was performed, alone or among others. Errors: that of the device
    // which ended the journal, or `closed` after an end of the journal that came first: the
    // operation is in the ring and will be performed by the next start. timeout: the deadline came
    // first.
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

  // Opens the ring on the device, or makes one on a blank device, and begins to perform what is in
  // it; does not wait for that (see replayed). Errors: those of ring::create, Producer::attach and
  // Consumer::attach; on error nothing was performed.
  static Async<Journal> start(BlockDevice& device, Perform perform, JournalOptions options);

  Journal(Journal&&) noexcept;
  Journal& operator=(Journal&&) noexcept;
  ~Journal();

  // Waits until everything that start() found in the ring was performed. Errors: as Waiter::sync's.
  Async<void> replayed(MonotonicTime deadline = kNever);

  // Writes the operation down. Where the ring is full it waits for room, and everything that is
  // there is performed at once; with a deadline it gives up then (kNoWait: at once).
  // Durable on success: the operation, which will be performed at least once before any later one.
  // On error: it is not in the journal, unless the error is the device's: then it may be. Never
  // returns: it may be in the journal.
  // Errors: retry or timeout (full until the deadline, or max_waiting calls wait: try again later), invalid_argument (larger
  // than the ring takes: never), exhausted (larger than its memory takes;
  // or the disk below the device is full, which status() says too: make room and push again), closed
  // (shut down), and the device's error that ended the journal (start a new one when the cause is
  // gone).
  Async<Waiter> push(BytesView operation, MonotonicTime deadline = kNever);

  // Performs what waits, once; what fails then, or cannot be read, stays for the next start. Then
  // frees everything; later pushes are `closed`, and waiters whose operation was not performed get
  // `closed` too. May be called again, at the same time too: every call returns when the journal has
  // ended, with the same outcome: success, or the device's error that ended the journal before.
  // Errors besides: timeout (a perform or the disk was at work until the deadline) and cancelled; the
  // shutdown goes on, call again to wait for it, or destroy the journal, which waits for nothing.
  Async<void> shutdown(MonotonicTime deadline = kNever);

  // The device's error that ended the journal, or `exhausted` from a write that found the disk full
  // until one has found room; success while all is well.
  Status status() const;
  JournalStatistics statistics() const;
  // See Producer::identity.
  std::string identity() const;

 private:
  explicit Journal(std::shared_ptr<internal::JournalCore> core);

  std::shared_ptr<internal::JournalCore> core_;
};

}  // namespace semper::ring
