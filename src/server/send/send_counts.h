// SendCounts: what a process, or the callbacks of one host, have sent to each entity since its
// queue was looked at.
//
// After every kQueueCheckInterval messages, and while it is full with each, the queue is looked at
// before they are committed. Bound:
// kSendCounts entities; past that those begin anew which are not due, somewhere between two looks.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "semper/base/bytes.h"

namespace semper::internal {

inline constexpr std::size_t kSendCounts = 4096;

class SendCounts {
 public:
  // So many more go to the queue with this counter. True: look at it first.
  bool add(const Bytes& pushed_key, std::uint64_t messages = 1);
  // It was looked at.
  void looked(const Bytes& pushed_key, bool is_full);

 private:
  std::mutex mutex_;
  std::unordered_map<Bytes, std::uint64_t> counts_;
  bool has_overflowed_ = false;
  std::uint64_t beginning_ = 0;  // of the next that is counted
};

}  // namespace semper::internal
