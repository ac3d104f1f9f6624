// Suspicion: a message that ends the process that runs it does not run on every host for ever.
//
// Suspected are the messages that were enqueued before this host looked at the store for the first
// time, if another host was registered then, and before it learned that one had gone. What is done
// about them: announcement.h. Timers that were due by then send their ticks through the queue
// (due.h). So a process that dies costs the entities with a queue one commit more each, and nothing
// after that.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "semper/store/backend.h"

namespace semper::internal {

// What one host suspects. Threads: any.
class Suspicion {
 public:
  // A process has gone; or one may have, before this host began. Messages of before the next look
  // at the store are suspected.
  void renew() {
    renewals_.fetch_add(1, std::memory_order_acq_rel);
    is_due_.store(true, std::memory_order_release);
  }
  // There was nobody before this host.
  void clear();

  // Which one it is. A message that was cleared of one is suspected by the next.
  std::uint64_t number() const { return number_.load(std::memory_order_acquire); }
  // How many there have been, begun with this host; 0: none.
  std::uint64_t renewals() const { return renewals_.load(std::memory_order_acquire); }
  // `message`, `now`: versions of its commit, and of the transaction that sees it.
  bool covers(Version message, Version now);

 private:
  std::mutex mutex_;
  std::atomic<bool> is_due_{true};
  std::atomic<Version> before_{0};
  std::atomic<std::uint64_t> number_{0};
  std::atomic<std::uint64_t> renewals_{1};
};

}  // namespace semper::internal
