// Suspicion: a message that ends the process that runs it does not run on every host for ever.
//
// A message that nobody has run yet costs nothing here. One that was in the queue when a process
// died may have been the cause: before it is run again, that is announced durably, in a small
// commit of its own, and the announcement is taken away by the commit of the run. Who finds one
// knows what was running when its process ended:
//
//   no announcement            it is run as ever, in a batch, announced
//   of a batch that it was in  it is run alone, announced, while nothing else of this host is that
//                              was announced as well
//   of itself, alone           the same again, until HostOptions::message_attempts runs are
//                              counted; then it is set aside unrun
//
// Suspected are the messages that were enqueued before this host looked at the store for the first
// time, if another host was registered then, and before it learned that one had gone. So a process
// that dies costs the entities with a queue one commit more each, and nothing after that.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "semper/base/bytes.h"
#include "semper/base/result.h"
#include "semper/store/backend.h"
#include "semper/store/versionstamp.h"

namespace semper::internal {

// A message of a queue: no other, of no other queue, ever has the same.
struct QueuePlace {
  Versionstamp segment;
  std::uint32_t offset = 0;
  friend bool operator==(const QueuePlace&, const QueuePlace&) = default;
};

// What one host suspects. Threads: any.
class Suspicion {
 public:
  // A process has gone; or one may have, before this host began. Messages of before the next look
  // at the store are suspected.
  void renew() { is_due_.store(true, std::memory_order_release); }
  // There was nobody before this host.
  void clear();

  // Which one it is. A message that was cleared of one is suspected by the next.
  std::uint64_t number() const { return number_.load(std::memory_order_acquire); }
  // `message`, `now`: versions of its commit, and of the transaction that sees it.
  bool covers(Version message, Version now);

 private:
  std::mutex mutex_;
  std::atomic<bool> is_due_{true};
  std::atomic<Version> before_{0};
  std::atomic<std::uint64_t> number_{0};
};

// (1, type, id, 8): what is being run. CBOR: [stamp, offset, popped, until, runs, alone].
struct Announcement {
  QueuePlace place;
  std::uint64_t popped = 0;  // messages taken from the queue before it
  std::uint64_t until = 0;   // the batch ends before the message with this number
  std::uint64_t runs = 0;    // announced so far, with this one
  bool alone = false;

  Bytes encode() const;
  static Result<Announcement> decode(BytesView bytes);
};

// The announcement to make before the first message is run, or, where it is to be set aside
// instead, nothing. `batch`: messages that would run with it.
std::optional<Announcement> announcement_for(const std::optional<Announcement>& found,
                                             const QueuePlace& head, std::uint64_t popped,
                                             std::uint64_t batch, int message_attempts);

}  // namespace semper::internal
