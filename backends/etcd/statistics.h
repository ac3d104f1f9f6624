// Counters of one open handle, for Backend::statistics().
#pragma once

#include <atomic>
#include <cstdint>

namespace semper::etcd {

struct Statistics {
  using Counter = std::atomic<std::int64_t>;

  Counter commits = 0;           // transactions applied
  Counter conflicts = 0;         // transactions refused
  Counter requests = 0;          // etcd transactions sent for them
  Counter largest_request = 0;   // transactions in one
  Counter stamps_overtaken = 0;  // requests sent again: another process committed a later stamp
  Counter sums_overtaken = 0;    // transactions sent again: somebody else added to the same number
  Counter deferred = 0;          // transactions kept for the next request: they touch the same keys
  Counter validations = 0;       // transactions whose reads were read again
  Counter outcomes_lost = 0;     // requests without an answer
  Counter outcomes_found = 0;    // of those, found out
  Counter snapshots = 0;
  Counter reads = 0;          // requests that read
  Counter failovers = 0;      // changes of the endpoint that is asked
  Counter watches = 0;        // now
  Counter watch_streams = 0;  // connections of the watch stream
  Counter watch_events = 0;
  Counter watch_resyncs = 0;  // watched keys read again after a compaction
  Counter watch_polls = 0;    // rounds of the slow re-read
  Counter watch_rescues = 0;  // changes found by it that no event told of

  static void add(Counter& counter, std::int64_t amount = 1) {
    counter.fetch_add(amount, std::memory_order_relaxed);
  }
};

}  // namespace semper::etcd
