// sync::Journal: makes work durable first and does it afterwards, for programs with threads.
//
// What for: accepting work faster or more reliably than it can be done. When not: work that must
// not be done twice (semper/journal_drain.h).
//
//   auto perform = [&](const std::vector<semper::ring::Item>& batch) -> semper::Status {
//     for (const auto& item : batch) SEMPER_TRY_STATUS(send(item.bytes));
//     return {};
//   };
//   SEMPER_TRY(auto journal, semper::sync::Journal::start("work.journal", perform));
//   SEMPER_TRY(auto written, journal.push("an operation"));   // durable from here on
//   SEMPER_TRY_STATUS(written.sync());                        // performed
//   SEMPER_TRY_STATUS(journal.shutdown());
//
// Durability, errors and limits: as for ring::Journal. `perform` runs on a separate thread
// (run_blocking), one batch at a time: it may block and may call semper::sync.
// Ownership: the journal owns its device, or shares the one it was given. If it is destroyed
// without shutdown(), it stops like a killed process. A perform that is in progress runs to its
// end, so anything it uses must live until then. Threads and forks: see semper/sync/wait.h.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "semper/block/file_block_device.h"
#include "semper/ring/journal.h"
#include "semper/sync/wait.h"

namespace semper::sync {

class Journal {
 public:
  using Perform = std::function<Status(const std::vector<ring::Item>&)>;

  class Waiter {
   public:
    void flush() const { waiter_.flush(); }
    // If it is not performed within `timeout`: `timeout`; it will be performed later.
    Status sync(Duration timeout = kForever) const;
    ring::Position position() const { return waiter_.position(); }

   private:
    friend class Journal;
    Waiter(ring::Journal::Waiter waiter, Clock* clock)
        : waiter_(std::move(waiter)), clock_(clock) {}
    ring::Journal::Waiter waiter_;
    Clock* clock_;
  };

  static Result<Journal> start(std::shared_ptr<BlockDevice> device, Perform perform,
                               ring::JournalOptions options = {});
  // Additional errors: those of open_block_device.
  static Result<Journal> start(const std::string& path, Perform perform,
                               ring::JournalOptions options = {});

  // Waits for room for at most `timeout`; zero: does not wait. The operation is copied.
  Result<Waiter> push(BytesView operation, Duration timeout = kForever);
  Status replayed(Duration timeout = kForever);
  Status shutdown(Duration timeout = kForever);
  Status close(Duration timeout = kForever) { return shutdown(timeout); }

  Status status() const;
  ring::JournalStatistics statistics() const;
  std::string identity() const;

  struct Handle;

 private:
  explicit Journal(std::shared_ptr<Handle> handle) : handle_(std::move(handle)) {}
  std::shared_ptr<Handle> handle_;
};

}  // namespace semper::sync
