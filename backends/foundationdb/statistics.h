// Counters of one open handle, for Backend::statistics().
#pragma once

#include <atomic>
#include <cstdint>

namespace semper::foundationdb {

struct Statistics {
  using Counter = std::atomic<std::int64_t>;

  Counter commits = 0;
  Counter conflicts = 0;
  Counter outcomes_unknown = 0;
  Counter retries = 0;        // of commits and reads that the cluster put off
  Counter read_versions = 0;  // asked for
  Counter read_versions_reused = 0;
  Counter gets = 0;
  Counter ranges = 0;
  Counter watches = 0;        // now
  Counter watches_armed = 0;  // of those, keys that FoundationDB watches for us
  Counter watch_looks = 0;    // keys read because a watch failed or there were too many

  static void add(Counter& counter, std::int64_t amount) {
    counter.fetch_add(amount, std::memory_order_relaxed);
  }
};

}  // namespace semper::foundationdb
